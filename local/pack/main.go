// Command pack writes the zip that an Azure Functions app runs from: everything below a folder, with the execute bit
// where a file has it. The same files make the same bytes, so that a release can be rebuilt and compared.
package main

import (
	"archive/zip"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: pack <folder> <file.zip>")
		os.Exit(2)
	}
	if err := pack(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

// pack writes the zip beside its name first, so that the name never stands for half a package.
func pack(folder, file string) (err error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	out, err := os.CreateTemp(filepath.Dir(file), "pack-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(out.Name()) // the fault that is returned matters more
		}
	}()
	if err := write(out, os.DirFS(folder)); err != nil {
		_ = out.Close() // the fault that is returned matters more
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	if err := os.Chmod(out.Name(), 0o644); err != nil {
		return err
	}
	return os.Rename(out.Name(), file)
}

func write(out *os.File, folder fs.FS) error {
	archive := zip.NewWriter(out)
	// WalkDir goes in the order of names.
	err := fs.WalkDir(folder, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		return add(archive, folder, name, entry)
	})
	if err != nil {
		return err
	}
	return archive.Close()
}

func add(archive *zip.Writer, folder fs.FS, name string, entry fs.DirEntry) error {
	info, err := entry.Info()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is no regular file, which a package cannot hold", name)
	}
	header := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: time.Date(1980, time.January, 1, 0, 0, 0, 0, time.UTC)}
	// The mode's execute bit is what the platforms look at; the bits of the umask of this machine are not taken along.
	header.SetMode(0o644)
	if info.Mode()&0o100 != 0 {
		header.SetMode(0o755)
	}
	to, err := archive.CreateHeader(header)
	if err != nil {
		return err
	}
	content, err := fs.ReadFile(folder, name)
	if err != nil {
		return err
	}
	_, err = to.Write(content)
	return err
}
