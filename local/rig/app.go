package rig

import (
	"context"
	"time"

	"fhirferry/local/funchost"
)

// Env writes settings as a process takes them.
func Env(settings map[string]string) []string {
	var env []string
	for name, value := range settings {
		env = append(env, name+"="+value)
	}
	return env
}

// StopHost ends a host, and with it its handler; later calls do nothing.
func StopHost(host *funchost.Host) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = host.Stop(ctx) // the listener of a host that ends is of no more use
}
