package fhirsim

import (
	_ "embed"
	"slices"
	"strings"
)

//go:embed resourcetypes.txt
var resourceTypeList string

// resourceTypes are the names of FHIR R4, sorted.
func resourceTypes() []string {
	names := strings.Fields(resourceTypeList)
	slices.Sort(names)
	return names
}

// knowsType reports whether name is a resource type of this server.
func (s *Server) knowsType(name string) bool {
	_, known := slices.BinarySearch(s.types, name)
	return known
}
