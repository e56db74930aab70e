package store

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"fhirferry/handler/internal/migration"
)

// Keys within the partition of a run. Chunk ids begin with their window, so key order is window order.
const (
	runKey       = "run"
	roundKey     = "round"
	totalsKey    = "totals"
	slotsPrefix  = "slots_"
	chunkPrefix  = "c_" // every chunk
	markerPrefix = "u_" // the same row again while the chunk is unfinished
	errandPrefix = "e_"
)

// after is the first key that does not begin with the prefix: '`' follows '_'.
func after(prefix string) string { return prefix[:len(prefix)-1] + "`" }

// The row that names the current run.
const (
	currentPartition = "current"
	currentKey       = "current"
)

// table is the one table, with the few operations that we use of it.
type table struct {
	client *aztables.Client
}

// create makes the table where it is missing.
func (t table) create(ctx context.Context) error {
	_, err := t.client.CreateTable(ctx, nil)
	if err != nil && !thereAlready(err) {
		return fmt.Errorf("create the table: %w", err)
	}
	return nil
}

// get reads a row; migration.ErrNotFound.
func (t table) get(ctx context.Context, partition, key string) (row, error) {
	answer, err := t.client.GetEntity(ctx, partition, key, nil)
	if refusedWith(err, http.StatusNotFound) {
		return row{}, migration.ErrNotFound
	}
	if err != nil {
		return row{}, fmt.Errorf("read row %s of %s: %w", key, partition, err)
	}
	return decode(answer.Value, answer.ETag)
}

// list reads the rows of a partition between two keys, both exclusive: all of them, or limit at most when that is
// positive.
func (t table) list(ctx context.Context, partition, from, to string, limit int) (rows []row, more bool, err error) {
	filter := fmt.Sprintf("PartitionKey eq '%s' and RowKey gt '%s' and RowKey lt '%s'", quoted(partition), quoted(from), quoted(to))
	options := &aztables.ListEntitiesOptions{Filter: &filter}
	if limit > 0 {
		top := int32(min(limit, 1000)) // the service's own bound of a page
		options.Top = &top
	}
	pager := t.client.NewListEntitiesPager(options)
	for pager.More() {
		page, err := pager.NextPage(ctx)
		if refusedWith(err, http.StatusNotFound) {
			return nil, false, nil // no table, no rows
		}
		if err != nil {
			return nil, false, fmt.Errorf("list rows %s of %s: %w", from, partition, err)
		}
		for i, entity := range page.Entities {
			r, err := decode(entity, "")
			if err != nil {
				return nil, false, err
			}
			rows = append(rows, r)
			if len(rows) == limit {
				return rows, pager.More() || i+1 < len(page.Entities), nil
			}
		}
	}
	return rows, false, nil
}

// quoted makes a text safe within the quotes of a filter.
func quoted(text string) string { return strings.ReplaceAll(text, "'", "''") }

// change is one part of a transaction.
type change struct {
	kind aztables.TransactionType
	row  row
	etag azcore.ETag // condition; empty: none
}

func insert(r row) change { return change{aztables.TransactionTypeAdd, r, ""} }
func replace(r row, old row) change {
	return change{aztables.TransactionTypeUpdateReplace, r, old.etag}
}
func put(r row) change { return change{aztables.TransactionTypeInsertReplace, r, ""} }
func remove(r row) change {
	return change{aztables.TransactionTypeDelete, r, r.etag}
}

// commit makes all changes together, or none. It returns false when the service refused them because a row is not as it
// was read. The witness is a row that this transaction writes: when it carries the version that we give it, an earlier
// try, whose answer was lost, has succeeded.
func (t table) commit(ctx context.Context, witness row, changes ...change) (done bool, err error) {
	actions := make([]aztables.TransactionAction, 0, len(changes))
	for _, c := range changes {
		entity, err := c.row.encode()
		if err != nil {
			return false, fmt.Errorf("encode row %s: %w", c.row.key, err)
		}
		action := aztables.TransactionAction{ActionType: c.kind, Entity: entity}
		if c.etag != "" {
			etag := c.etag
			action.IfMatch = &etag
		}
		actions = append(actions, action)
	}
	_, err = t.client.SubmitTransaction(ctx, actions, nil)
	if err == nil {
		return true, nil
	}
	if !refusedWith(err, http.StatusConflict, http.StatusPreconditionFailed, http.StatusNotFound) {
		return false, fmt.Errorf("save %s of %s: %w", witness.key, witness.partition, err)
	}
	now, rerr := t.get(ctx, witness.partition, witness.key)
	if errors.Is(rerr, migration.ErrNotFound) {
		return false, t.create(ctx)
	}
	if rerr != nil {
		return false, rerr
	}
	return now.version == witness.version, nil
}
