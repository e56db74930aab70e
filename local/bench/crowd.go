package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// tableFile is where the emulator keeps its tables. It compares every new row with every other one of its partition,
// so that 50,000 would take many minutes over the wire; written into its file they take a second.
const tableFile = "__azurite_db_table__.json"

// progress is the emulator's name for the handler's table. In the partition of a run it holds every chunk under "c_"
// and its id.
const progress = "devstoreaccount1$fhirferry"

// multiply writes a finished chunk n times more, under ids of other windows, into the file of a stopped emulator.
func multiply(folder string, n int) error {
	name := filepath.Join(folder, tableFile)
	content, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("read the emulator's tables: %w", err)
	}
	if content, err = multiplied(content, n); err != nil {
		return fmt.Errorf("add finished chunks to the emulator's tables: %w", err)
	}
	if err := os.WriteFile(name, content, 0o600); err != nil {
		return fmt.Errorf("write the emulator's tables: %w", err)
	}
	return nil
}

type object = map[string]any

func multiplied(content []byte, n int) ([]byte, error) {
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.UseNumber()
	var whole object
	if err := decoder.Decode(&whole); err != nil {
		return nil, err
	}
	collections, _ := whole["collections"].([]any)
	i := slices.IndexFunc(collections, func(c any) bool { o, _ := c.(object); return o["name"] == progress })
	if i < 0 {
		return nil, errors.New("there is no table " + progress)
	}
	table := collections[i].(object)
	rows, _ := table["data"].([]any)
	pattern, err := finished(rows)
	if err != nil {
		return nil, err
	}
	last := 0
	for _, r := range rows {
		number, _ := r.(object)["$loki"].(json.Number)
		id, _ := number.Int64()
		last = max(last, int(id))
	}
	at := time.Date(2001, time.January, 1, 0, 0, 0, 0, time.UTC)
	for range n {
		last++
		rows = append(rows, renamed(pattern, at, last))
		at = at.Add(time.Hour)
	}
	table["data"], table["maxId"], table["idIndex"] = rows, last, nil
	index(table, rows)
	return json.Marshal(whole)
}

// finished is the row of a chunk that has been imported.
func finished(rows []any) (object, error) {
	for _, r := range rows {
		o, _ := r.(object)
		properties, _ := o["properties"].(object)
		if key, _ := o["RowKey"].(string); strings.HasPrefix(key, "c_") && properties["State"] == "imported" {
			return o, nil
		}
	}
	return nil, errors.New("no row is a finished chunk: rows are not what they were")
}

// renamed is the row under the id of another window.
func renamed(pattern object, since time.Time, number int) object {
	const stamp = "20060102T150405.000Z"
	old := strings.TrimPrefix(pattern["RowKey"].(string), "c_")
	id := since.Format(stamp) + "_" + since.Add(time.Hour).Format(stamp) + old[strings.LastIndex(old, "_"):]
	row, properties := maps.Clone(pattern), object{}
	for name, value := range pattern["properties"].(object) {
		if text, ok := value.(string); ok {
			value = strings.ReplaceAll(text, old, id)
		}
		properties[name] = value
	}
	row["RowKey"], row["properties"], row["$loki"] = "c_"+id, properties, number
	return row
}

// index orders the rows anew for the emulator's own searches.
func index(table object, rows []any) {
	indices, _ := table["binaryIndices"].(object)
	for property, value := range indices {
		text := func(i int) string { s, _ := rows[i].(object)[property].(string); return s }
		order := make([]int, len(rows))
		for i := range order {
			order[i] = i
		}
		slices.SortStableFunc(order, func(a, b int) int { return strings.Compare(text(a), text(b)) })
		value.(object)["values"] = order
	}
}
