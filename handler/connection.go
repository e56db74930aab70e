package main

import (
	"encoding/base64"
	"errors"
	"net"
	"net/url"
	"regexp"
	"strings"
)

// storageConfig says how to reach the account of the tables, the documents and the queue: by connection string, or by
// three addresses and an identity.
type storageConfig struct {
	connection            secret // in the form that the Azure clients read; empty: by identity
	tables, queues, blobs string // endpoints, when connection is empty
	clientID              string // of the identity for storage alone; empty: the app's
	managedIdentity       bool   // __credential=managedidentity
}

const storageName = "AzureWebJobsStorage"

var accountForm = regexp.MustCompile(`^[a-z0-9]{3,24}$`)

// storage reads the two forms. The host prefers the connection string where both are set, and so do we.
func (r *reader) storage() storageConfig {
	if value := r.text(storageName); value != "" {
		connection, err := readConnection(value)
		if err == nil && connection["AccountKey"] == "" {
			err = errors.New("it holds no account key")
		}
		if err != nil {
			r.report(storageName, err.Error(),
				"copy a connection string with its account key from the storage account, or remove it and set "+
					storageName+"__accountName to use the identity of the app")
			return storageConfig{}
		}
		return storageConfig{connection: newSecret(connection.String())}
	}
	return r.storageByIdentity()
}

func (r *reader) storageByIdentity() storageConfig {
	s := storageConfig{clientID: r.text(storageName + "__clientId")}
	credential := storageName + "__credential"
	switch value := r.text(credential); {
	case strings.EqualFold(value, "managedidentity"):
		s.managedIdentity = true
	case value != "":
		r.report(credential, "unknown value "+quote(value), "set managedidentity, or leave it empty")
	}
	account := r.text(storageName + "__accountName")
	if account != "" && !accountForm.MatchString(account) {
		r.report(storageName+"__accountName", quote(account)+" is not the name of a storage account",
			"set its 3 to 24 lower-case letters and digits, without an address")
	}
	services := []struct {
		name, host string
		to         *string
	}{
		{"__tableServiceUri", "table", &s.tables}, {"__queueServiceUri", "queue", &s.queues}, {"__blobServiceUri", "blob", &s.blobs},
	}
	if account == "" && !r.anySet("__tableServiceUri", "__queueServiceUri", "__blobServiceUri") {
		r.report(storageName, "it is required and empty", "set the connection string of a storage account, or "+
			storageName+"__accountName to use the identity of the app")
		return s
	}
	for _, service := range services {
		name := storageName + service.name
		if r.text(name) == "" && account != "" {
			*service.to = "https://" + account + "." + service.host + ".core.windows.net"
			continue
		}
		*service.to = r.address(name, "the "+service.host+" endpoint of the storage account, such as https://name."+service.host+
			".core.windows.net, or set "+storageName+"__accountName")
	}
	return s
}

func (r *reader) anySet(endings ...string) bool {
	for _, ending := range endings {
		if r.text(storageName+ending) != "" {
			return true
		}
	}
	return false
}

// blobConnection reads an optional connection string that serves for blobs alone.
func (r *reader) blobConnection(name string) secret {
	value := r.text(name)
	if value == "" {
		return secret{}
	}
	connection, err := readConnection(value)
	if err == nil && connection["AccountName"] == "" && connection["BlobEndpoint"] == "" {
		err = errors.New("it names neither an account nor a blob endpoint")
	}
	if err != nil {
		r.report(name, err.Error(), "copy a connection string from the staging account, or leave it empty to use the identity of the app")
		return secret{}
	}
	return newSecret(connection.String())
}

// connection is a storage connection string by its keys, spelled as the Azure clients want them: they tell upper from
// lower case where the host does not.
type connection map[string]string

// connectionKeys are the keys that mean something to us, in the order in which they are written. The last is the
// shorthand for the emulator.
func connectionKeys() []string {
	return []string{
		"DefaultEndpointsProtocol", "AccountName", "AccountKey", "SharedAccessSignature", "EndpointSuffix",
		"BlobEndpoint", "QueueEndpoint", "TableEndpoint", "UseDevelopmentStorage", "DevelopmentStorageProxyUri",
	}
}

// String writes the connection string anew.
func (c connection) String() string {
	var text strings.Builder
	for _, key := range connectionKeys() {
		if value := c[key]; value != "" {
			text.WriteString(key + "=" + value + ";")
		}
	}
	return text.String()
}

// readConnection reads and checks a connection string. Its errors say what is wrong and quote nothing.
func readConnection(text string) (connection, error) {
	parts, err := connectionParts(text)
	if err != nil {
		return nil, err
	}
	c := connection{}
	for _, key := range connectionKeys() {
		if value := parts[strings.ToLower(key)]; value != "" {
			c[key] = value
		}
	}
	if strings.EqualFold(c["UseDevelopmentStorage"], "true") {
		return emulator(c["DevelopmentStorageProxyUri"])
	}
	return c, c.fault()
}

func (c connection) fault() error {
	key, err := base64.StdEncoding.DecodeString(c["AccountKey"])
	switch protocol := c["DefaultEndpointsProtocol"]; {
	case protocol != "" && protocol != "https" && protocol != "http":
		return errors.New("its DefaultEndpointsProtocol is neither https nor http")
	case c["AccountKey"] == "" && c["SharedAccessSignature"] == "":
		return errors.New("it holds neither an account key nor a signature")
	case c["AccountKey"] != "" && (err != nil || len(key) == 0):
		return errors.New("its AccountKey is not base64")
	case c["AccountKey"] != "" && !accountForm.MatchString(c["AccountName"]):
		return errors.New("its AccountName is missing or not the name of a storage account")
	}
	for _, name := range []string{"BlobEndpoint", "QueueEndpoint", "TableEndpoint"} {
		u, err := url.Parse(c[name])
		if err != nil || c[name] != "" && (u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.RawQuery != "") {
			return errors.New("its " + name + " is not an absolute http or https URL")
		}
	}
	return nil
}

// connectionParts splits key=value;key=value, the keys in lower case.
func connectionParts(text string) (map[string]string, error) {
	parts := map[string]string{}
	for part := range strings.SplitSeq(text, ";") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		key, value, ok := strings.Cut(part, "=")
		if !ok || key == "" {
			return nil, errors.New("it is not a connection string of the form Name=value;Name=value")
		}
		parts[strings.ToLower(strings.TrimSpace(key))] = value
	}
	return parts, nil
}

// emulator is what UseDevelopmentStorage=true stands for, which the Azure clients for Go do not know: the storage
// emulator on its usual ports, with its published name and key.
func emulator(proxy string) (connection, error) {
	scheme, host := "http", "127.0.0.1"
	if proxy != "" {
		u, err := url.Parse(proxy)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
			return nil, errors.New("its DevelopmentStorageProxyUri is not an absolute http or https URL")
		}
		scheme, host = u.Scheme, u.Hostname()
	}
	const account = "devstoreaccount1"
	at := func(port string) string { return scheme + "://" + net.JoinHostPort(host, port) + "/" + account }
	return connection{
		"DefaultEndpointsProtocol": scheme,
		"AccountName":              account,
		"AccountKey":               "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
		"BlobEndpoint":             at("10000"),
		"QueueEndpoint":            at("10001"),
		"TableEndpoint":            at("10002"),
	}, nil
}
