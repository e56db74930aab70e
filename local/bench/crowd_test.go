package main

import (
	"encoding/json"
	"strings"
	"testing"
)

const tables = `{"collections":[{"name":"other"},{"name":"devstoreaccount1$fhirferry","maxId":3,
	"binaryIndices":{"RowKey":{"name":"RowKey","values":[0,1]}},
	"data":[
		{"PartitionKey":"r","RowKey":"u_x_y_ab","$loki":2,"properties":{"State":"planned"}},
		{"PartitionKey":"r","RowKey":"c_x_y_ab","$loki":3,"properties":{"State":"imported","Content0":"{\"ID\":\"x_y_ab\"}","Schema":1}}]}]}`

func TestMultiplied(t *testing.T) {
	content, err := multiplied([]byte(tables), 2)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Collections []struct {
			MaxID         int `json:"maxId"`
			BinaryIndices map[string]struct{ Values []int }
			Data          []struct {
				PartitionKey, RowKey string
				Loki                 int `json:"$loki"`
				Properties           struct {
					State, Content0 string
					Schema          int
				}
			}
		}
	}
	if err := json.Unmarshal(content, &got); err != nil {
		t.Fatal(err)
	}
	table := got.Collections[1]
	if len(table.Data) != 4 || table.MaxID != 5 {
		t.Fatalf("got %d rows, the last number %d; want 4 and 5", len(table.Data), table.MaxID)
	}
	seen := map[string]bool{}
	for _, r := range table.Data[2:] {
		id := strings.TrimPrefix(r.RowKey, "c_")
		if seen[id] = true; r.PartitionKey != "r" || !strings.HasSuffix(id, "_ab") || r.Properties.State != "imported" ||
			r.Properties.Content0 != `{"ID":"`+id+`"}` || r.Properties.Schema != 1 {
			t.Errorf("a copy is not its pattern under another id: %+v", r)
		}
	}
	if len(seen) != 2 {
		t.Errorf("two copies have one id: %v", seen)
	}
	last := ""
	for _, i := range table.BinaryIndices["RowKey"].Values {
		if key := table.Data[i].RowKey; key < last {
			t.Errorf("the index is out of order: %s after %s", key, last)
		} else {
			last = key
		}
	}
	if len(table.BinaryIndices["RowKey"].Values) != 4 {
		t.Error("the index does not hold every row")
	}
}

func TestMultipliedNeedsAFinishedChunk(t *testing.T) {
	if _, err := multiplied([]byte(strings.ReplaceAll(tables, "imported", "exported")), 1); err == nil {
		t.Error("a chunk that is not finished was taken for the pattern")
	}
}
