package fhir

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// site is a scheme and host in comparable form: lower case, without the scheme's usual port.
type site struct{ scheme, host string }

func origin(u *url.URL) site {
	scheme, host := strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	usual := map[string]string{"https": ":443", "http": ":80"}[scheme]
	return site{scheme, strings.TrimSuffix(strings.TrimSuffix(host, usual), ":")}
}

// sameOrigin refuses a URL that does not belong to this server (design 3.5, invariant 16).
func (c *Client) sameOrigin(u *url.URL) error {
	if u.User != nil {
		return errors.New("the server's URL carries a user name; refused")
	}
	if got, want := origin(u), origin(c.base); got != want {
		return fmt.Errorf("the URL leads to %s://%s, not to this server at %s://%s; refused", got.scheme, got.host, want.scheme, want.host)
	}
	return nil
}

// resolve reads a URL that the server named in its answer to from, absolute or relative, and refuses foreign ones.
func (c *Client) resolve(from *url.URL, raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || raw == "" {
		return nil, errors.New("the server's URL cannot be read")
	}
	u = from.ResolveReference(u)
	u.Fragment = ""
	return u, c.sameOrigin(u)
}

// loopback reports whether a host name is this machine.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// withoutURL takes the cause out of net/http's error, whose text repeats the query.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}
