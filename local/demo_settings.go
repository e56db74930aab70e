package main

import (
	"fmt"
	"time"
)

// settings are the app settings of the demonstration (operator contract 2). Waits are seconds where Azure has
// minutes, since the simulated services are as much faster.
func (p *pair) settings() map[string]string {
	storage := p.proxies.ConnectionString()
	return map[string]string{
		"AzureWebJobsStorage":      storage,
		"FUNCTIONS_WORKER_RUNTIME": "custom",
		"FERRY_SOURCE_URL":         p.sourceURL,
		"FERRY_DESTINATION_URL":    p.destinationURL,
		"FERRY_STAGING_URL":        p.azurite.BlobEndpoint(),
		"FERRY_STAGING_CONNECTION": p.azurite.ConnectionString(),
		"FERRY_AUTH":               "none",
		"FERRY_SCHEDULE":           "*/1 * * * * *",
		"FERRY_QUEUE":              "fhirferry-work",
		"FERRY_WINDOW":             fmt.Sprintf("%dd", window/(24*time.Hour)),
		"FERRY_CHUNK_LIMIT":        "2500",
		"FERRY_SETTLE":             "2s",
		"FERRY_INTERVAL":           "5s",
		"FERRY_POLL":               "250ms",
		"FERRY_CONFIRM_INTERVAL":   "250ms",
		"FERRY_STALL":              "30s",
		"FERRY_REQUEST_TIMEOUT":    "5s",
	}
}
