package azurite

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// NodeModules finds local/node_modules of the Go module that the working directory
// belongs to, so that a test of any package finds the same installation.
func NodeModules() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the working directory: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, "local", "node_modules"), nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("find local/node_modules: no go.mod above the working directory; name the folder")
		}
		dir = parent
	}
}

// mainScript is the script that Azurite's own package.json calls "azurite".
func mainScript(nodeModules string) (string, error) {
	if nodeModules == "" {
		found, err := NodeModules()
		if err != nil {
			return "", err
		}
		nodeModules = found
	}
	folder := filepath.Join(nodeModules, "azurite")
	text, err := os.ReadFile(filepath.Join(folder, "package.json"))
	if err != nil {
		return "", fmt.Errorf("read azurite's package.json: %w: %w", err, ErrNotInstalled)
	}
	var manifest struct {
		Bin map[string]string `json:"bin"`
	}
	if err := json.Unmarshal(text, &manifest); err != nil {
		return "", fmt.Errorf("read azurite's package.json: %w: %w", err, ErrNotInstalled)
	}
	script := manifest.Bin["azurite"]
	if script == "" {
		return "", fmt.Errorf("azurite's package.json names no script: %w", ErrNotInstalled)
	}
	return filepath.Join(folder, filepath.FromSlash(script)), nil
}
