package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"fhirferry/local/fhirsim"
)

// apart is the type that a run moves by a step of its own (operator contract 3, migratedTill).
const apart = "SearchParameter"

// parameters are the urls of a service's search parameters that are not deleted. Versions come in order.
func parameters(s *fhirsim.Server) map[string]bool {
	byID := map[string]string{}
	s.Versions(func(v fhirsim.Version) bool {
		if v.Type != apart {
			return true
		}
		delete(byID, v.ID)
		var definition struct{ URL string }
		if !v.Deleted && json.Unmarshal(v.Body, &definition) == nil {
			byID[v.ID] = definition.URL
		}
		return true
	})
	urls := map[string]bool{}
	for _, url := range byID {
		urls[url] = true
	}
	return urls
}

// lacking are the source's search parameters that the destination neither holds nor has built in, in order.
func (p *pair) lacking() ([]string, error) {
	there := parameters(p.Destination)
	builtIn, err := definitions(p.DestinationURL)
	if err != nil {
		return nil, err
	}
	var urls []string
	for _, url := range slices.Sorted(maps.Keys(parameters(p.Source))) {
		if !there[url] && !builtIn[url] {
			urls = append(urls, url)
		}
	}
	return urls, nil
}

// definitions are the urls of the search parameters that a service lists in its capability statement.
func definitions(base string) (map[string]bool, error) {
	resp, err := http.Get(base + "/metadata")
	if err != nil {
		return nil, fmt.Errorf("ask the destination what it can search by: %w", err)
	}
	defer resp.Body.Close()
	var statement struct {
		Rest []struct {
			Resource []struct {
				SearchParam []struct{ Definition string }
			}
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&statement); err != nil {
		return nil, fmt.Errorf("understand what the destination can search by: %w", err)
	}
	listed := map[string]bool{}
	for _, rest := range statement.Rest {
		for _, resource := range rest.Resource {
			for _, p := range resource.SearchParam {
				listed[p.Definition] = true
			}
		}
	}
	return listed, nil
}
