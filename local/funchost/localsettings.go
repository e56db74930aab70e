package funchost

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// localSettings reads the Values of local.settings.json in the app root as NAME=value
// pairs; no file is no values. A file that does not say it is plain counts as
// encrypted (host contract 1.14, H3).
func localSettings(root string) ([]string, error) {
	text, err := os.ReadFile(filepath.Join(root, "local.settings.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read local settings: %w", err)
	}
	file := struct {
		IsEncrypted *bool
		Values      map[string]*string
	}{}
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("read local.settings.json (its Values must be flat strings): %w", err)
	}
	if file.IsEncrypted == nil || *file.IsEncrypted {
		return nil, errors.New(`read local.settings.json: it counts as encrypted; write "IsEncrypted": false`)
	}
	var pairs []string
	for name, value := range file.Values {
		if value != nil {
			pairs = append(pairs, name+"="+*value)
		}
	}
	return pairs, nil
}
