package funchost

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

// percent is a reference to a setting inside a value of function.json or host.json.
var percent = regexp.MustCompile(`%([^%\s]+)%`)

// settings are the app settings: the environment of the host and so of the handler.
// Names are looked up without regard to case, as .NET's configuration does.
type settings struct {
	names  map[string]string // lower-case name to the name as written
	values map[string]string
}

// newSettings takes NAME=value pairs; of equal names the first wins, as an existing
// environment variable wins over local.settings.json. PATH and HOME are those of this
// process unless given.
func newSettings(pairs ...string) settings {
	s := settings{names: map[string]string{}, values: map[string]string{}}
	for _, pair := range pairs {
		if name, value, ok := strings.Cut(pair, "="); ok {
			s.add(name, value)
		}
	}
	for _, name := range []string{"PATH", "HOME"} {
		if value, ok := os.LookupEnv(name); ok {
			s.add(name, value)
		}
	}
	return s
}

func (s settings) add(name, value string) {
	lower := strings.ToLower(name)
	if _, there := s.names[lower]; there {
		return
	}
	s.names[lower] = name
	s.values[lower] = value
}

func (s settings) lookup(name string) (string, bool) {
	value, ok := s.values[strings.ToLower(name)]
	return value, ok
}

func (s settings) get(name string) string {
	value, _ := s.lookup(name)
	return value
}

// environ is the environment as a process takes it.
func (s settings) environ() []string {
	var all []string
	for lower, name := range s.names {
		all = append(all, name+"="+s.values[lower])
	}
	return all
}

// resolve replaces each %NAME% by its setting; a missing one is an error, and makes
// the function that uses it fail (H5).
func (s settings) resolve(text string) (string, error) {
	var missing []string
	resolved := percent.ReplaceAllStringFunc(text, func(reference string) string {
		name := strings.Trim(reference, "%")
		value, ok := s.lookup(name)
		if !ok || value == "" {
			missing = append(missing, name)
		}
		return value
	})
	if missing != nil {
		return "", fmt.Errorf("the app setting %s that %q refers to is missing", strings.Join(missing, ", "), text)
	}
	return resolved, nil
}

// expand replaces each %NAME% by its setting, a missing one by nothing, as the host
// does in the executable's path and arguments.
func (s settings) expand(text string) string {
	return percent.ReplaceAllStringFunc(text, func(reference string) string {
		return s.get(strings.Trim(reference, "%"))
	})
}

// connection finds the connection string that a binding names; "" when there is none.
func (s settings) connection(name string) string {
	for _, key := range []string{"AzureWebJobs" + name, name, "ConnectionStrings__" + name} {
		if value := s.get(key); value != "" {
			return developmentStorage(value)
		}
	}
	return ""
}

// developmentStorage spells out the short form for an emulator on its usual ports,
// which the Go clients do not know.
func developmentStorage(connection string) string {
	if !strings.EqualFold(strings.TrimSuffix(connection, ";"), "UseDevelopmentStorage=true") {
		return connection
	}
	const account = "devstoreaccount1"
	return "DefaultEndpointsProtocol=http;AccountName=" + account +
		";AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==" +
		";BlobEndpoint=http://127.0.0.1:10000/" + account +
		";QueueEndpoint=http://127.0.0.1:10001/" + account +
		";TableEndpoint=http://127.0.0.1:10002/" + account + ";"
}
