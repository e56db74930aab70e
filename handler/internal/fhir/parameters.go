package fhir

import (
	"cmp"
	"encoding/json"
	"strconv"
)

// parameterValue is one parameter of a Parameters resource, with the kinds of values that we read.
type parameterValue struct {
	Name          string      `json:"name"`
	ValueString   string      `json:"valueString"`
	ValueCode     string      `json:"valueCode"`
	ValueURI      string      `json:"valueUri"`
	ValueURL      string      `json:"valueUrl"`
	ValueDateTime string      `json:"valueDateTime"`
	ValueDecimal  json.Number `json:"valueDecimal"`
	ValueInteger  json.Number `json:"valueInteger"`
}

func (v parameterValue) text() string {
	return cmp.Or(v.ValueString, v.ValueCode, v.ValueURI, v.ValueURL, v.ValueDateTime)
}

// number is the value as a whole number; 0 when it is none.
func (v parameterValue) number() int64 {
	f, err := strconv.ParseFloat(string(cmp.Or(v.ValueDecimal, v.ValueInteger)), 64)
	if err != nil || f < 0 || f > 1<<53 {
		return 0
	}
	return int64(f)
}
