package telemetry

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"
)

// publicEndpoint takes telemetry where a connection string names no endpoint (host contract 8.4).
const publicEndpoint = "https://dc.services.visualstudio.com"

var (
	keyForm  = regexp.MustCompile(`(?i)^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	hostForm = regexp.MustCompile(`(?i)^[0-9a-z-]+(\.[0-9a-z-]+)*$`)
)

// connection says whose telemetry it is and where it goes.
type connection struct {
	key   string // the instrumentation key
	track string // URL that takes it
}

// Check reports what is wrong with a connection string, without quoting it.
func Check(connectionString string) error {
	_, err := parse(connectionString)
	return err
}

// parse reads a connection string: parts key=value between semicolons, keys in any case and order, unknown ones
// ignored. Sovereign clouds name an IngestionEndpoint of their own, or an EndpointSuffix, with or without a Location.
func parse(text string) (connection, error) {
	parts := map[string]string{}
	for part := range strings.SplitSeq(text, ";") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		key, value, ok := strings.Cut(part, "=")
		if !ok {
			return connection{}, errors.New("a part of it is not key=value")
		}
		parts[strings.ToLower(strings.TrimSpace(key))] = strings.TrimSpace(value)
	}
	c := connection{key: parts["instrumentationkey"]}
	if !keyForm.MatchString(c.key) {
		return connection{}, errors.New("it has no InstrumentationKey that is a GUID")
	}
	endpoint := parts["ingestionendpoint"]
	if suffix := parts["endpointsuffix"]; endpoint == "" && suffix != "" {
		host := "dc." + strings.TrimPrefix(suffix, ".")
		if location := parts["location"]; location != "" {
			host = location + "." + host
		}
		if !hostForm.MatchString(host) {
			return connection{}, errors.New("its EndpointSuffix and Location make no host name")
		}
		endpoint = "https://" + host
	}
	if endpoint == "" {
		endpoint = publicEndpoint
	}
	u, err := url.Parse(endpoint)
	switch {
	case err != nil, u.Hostname() == "", u.User != nil, u.RawQuery != "", u.ForceQuery, u.Fragment != "":
		return connection{}, errors.New("its IngestionEndpoint is not https://host")
	}
	if err := safe(u); err != nil {
		return connection{}, fmt.Errorf("its IngestionEndpoint: %w", err)
	}
	c.track = strings.TrimRight(u.String(), "/") + "/v2/track"
	return c, nil
}

// safe refuses plain HTTP but to this machine.
func safe(u *url.URL) error {
	ip := net.ParseIP(u.Hostname())
	local := strings.EqualFold(u.Hostname(), "localhost") || ip != nil && ip.IsLoopback()
	if u.Scheme == "https" || u.Scheme == "http" && local {
		return nil
	}
	return errors.New("want https, or http on a loopback address")
}
