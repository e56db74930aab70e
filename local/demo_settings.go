package main

import (
	"fmt"
	"maps"
	"time"
)

// settings are the app settings of the demonstration (operator contract 2). Waits are seconds where Azure has
// minutes, since the simulated services are as much faster.
func (p *pair) settings() map[string]string {
	all := p.Settings()
	maps.Copy(all, map[string]string{
		"FERRY_SCHEDULE":         "*/1 * * * * *",
		"FERRY_WINDOW":           fmt.Sprintf("%dd", window/(24*time.Hour)),
		"FERRY_CHUNK_LIMIT":      "2500",
		"FERRY_SETTLE":           "2s",
		"FERRY_INTERVAL":         "5s",
		"FERRY_POLL":             "250ms",
		"FERRY_CONFIRM_INTERVAL": "250ms",
		"FERRY_STALL":            "30s",
		"FERRY_REQUEST_TIMEOUT":  "5s",
	})
	return all
}
