package azurite

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue"
)

func start(t *testing.T, o Options) *Azurite {
	t.Helper()
	a, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Stop)
	return a
}

func TestTwoStartsAtOnceHoldTheirOwnData(t *testing.T) {
	var (
		wg   sync.WaitGroup
		both [2]*Azurite
		errs [2]error
	)
	for i := range both {
		wg.Go(func() { both[i], errs[i] = Start(t.Context(), Options{InMemory: i == 1}) })
	}
	wg.Wait()
	for i := range both {
		if errs[i] != nil {
			t.Fatal(errs[i])
		}
		t.Cleanup(both[i].Stop)
	}
	for _, a := range both {
		// The same names in both: a shared store would refuse the second creation.
		exercise(t, a.ConnectionString(), a.BlobEndpoint())
	}
}

// exercise creates a container, a queue and a table and fails when one exists.
func exercise(t *testing.T, connection, blobEndpoint string) {
	t.Helper()
	blobs, err := azblob.NewClientFromConnectionString(connection, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := blobs.CreateContainer(t.Context(), "things", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := blobs.UploadBuffer(t.Context(), "things", "a/b.ndjson", []byte("{}\n"), nil); err != nil {
		t.Fatal(err)
	}
	if got := blobs.URL(); strings.TrimSuffix(got, "/") != blobEndpoint {
		t.Errorf("blob endpoint = %q, the client uses %q", blobEndpoint, got)
	}
	queue, err := azqueue.NewQueueClientFromConnectionString(connection, "work", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := queue.Create(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := queue.EnqueueMessage(t.Context(), "hello", nil); err != nil {
		t.Fatal(err)
	}
	tables, err := aztables.NewServiceClientFromConnectionString(connection, nil)
	if err != nil {
		t.Fatal(err)
	}
	table := tables.NewClient("rows")
	if _, err := table.CreateTable(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := table.AddEntity(t.Context(), []byte(`{"PartitionKey":"p","RowKey":"r","N":1}`), nil); err != nil {
		t.Fatal(err)
	}
	batch := []aztables.TransactionAction{
		{ActionType: aztables.TransactionTypeAdd, Entity: []byte(`{"PartitionKey":"p","RowKey":"s","N":1}`)},
		{ActionType: aztables.TransactionTypeUpdateMerge, Entity: []byte(`{"PartitionKey":"p","RowKey":"r","N":2}`)},
	}
	if _, err := table.SubmitTransaction(t.Context(), batch, nil); err != nil {
		t.Fatal(err)
	}
	got, err := table.GetEntity(t.Context(), "p", "r", nil)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(got.Value), `"N":2`) {
		t.Errorf("the transaction was not applied: %s", got.Value)
	}
}

func TestStopEndsTheProcessAndFreesItsFolder(t *testing.T) {
	a := start(t, Options{})
	pid, temp, host := a.PID(), a.temp, a.hosts[Blob]
	a.Stop()
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d after Stop: %v, want no such process", pid, err)
	}
	if _, err := os.Stat(temp); !os.IsNotExist(err) {
		t.Errorf("the temporary folder is still there: %v", err)
	}
	if c, err := net.DialTimeout("tcp", host, time.Second); err == nil {
		_ = c.Close()
		t.Errorf("%s still accepts connections", host)
	}
	a.Stop()
}

func TestDataOutlivesARestartInTheSameFolder(t *testing.T) {
	dir := t.TempDir()
	first := start(t, Options{Dir: dir})
	queue, err := azqueue.NewQueueClientFromConnectionString(first.ConnectionString(), "kept", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := queue.Create(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	first.Stop()
	second := start(t, Options{Dir: dir})
	queue, err = azqueue.NewQueueClientFromConnectionString(second.ConnectionString(), "kept", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := queue.GetProperties(t.Context(), nil); err != nil {
		t.Errorf("the queue is gone: %v", err)
	}
}

func TestAMissingInstallationNamesTheRemedy(t *testing.T) {
	_, err := Start(context.Background(), Options{NodeModules: t.TempDir()})
	if !errors.Is(err, ErrNotInstalled) || !strings.Contains(err.Error(), "make deps") {
		t.Errorf("err = %v, want ErrNotInstalled with its remedy", err)
	}
}

// TestTheLeashEndsAnOrphan closes the input that only a living parent holds open.
func TestTheLeashEndsAnOrphan(t *testing.T) {
	a := start(t, Options{InMemory: true})
	if err := a.input.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-a.exited:
	case <-time.After(20 * time.Second):
		t.Error("azurite still runs 20 s after its parent's end of the pipe was closed")
	}
}
