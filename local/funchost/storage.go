package funchost

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/lease"
)

// hostContainer is where the host keeps the locks and the status of its timers.
const hostContainer = "azure-webjobs-hosts"

// storage is the host's own part of the app's storage account.
type storage struct {
	client *azblob.Client
	hostID string
}

func newStorage(connection, hostID string) (storage, error) {
	client, err := azblob.NewClientFromConnectionString(connection, nil)
	if err != nil {
		return storage{}, fmt.Errorf("read the host's storage connection: %w", err)
	}
	return storage{client: client, hostID: hostID}, nil
}

// timerStatus is the blob timers/<hostId>/Host.Functions.<name>/status.
type timerStatus struct {
	Last, Next, LastUpdated time.Time
}

// MarshalJSON writes the times as the host does, in its blob and in payloads alike.
func (s timerStatus) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct{ Last, Next, LastUpdated string }{ticks(s.Last), ticks(s.Next), ticks(s.LastUpdated)})
}

func (s storage) statusName(function string) string {
	return "timers/" + s.hostID + "/Host.Functions." + function + "/status"
}

// status reads a timer's status; nil when there is none yet.
func (s storage) status(ctx context.Context, function string) (*timerStatus, error) {
	resp, err := s.client.DownloadStream(ctx, hostContainer, s.statusName(function), nil)
	if bloberror.HasCode(err, bloberror.BlobNotFound, bloberror.ContainerNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the status of timer %s: %w", function, err)
	}
	text, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return nil, fmt.Errorf("read the status of timer %s: %w", function, err)
	}
	var status timerStatus
	if err := json.Unmarshal(text, &status); err != nil {
		return nil, fmt.Errorf("read the status of timer %s: %w", function, err)
	}
	return &status, nil
}

func (s storage) saveStatus(ctx context.Context, function string, status timerStatus) error {
	text, err := json.Marshal(status)
	if err != nil {
		return err
	}
	if _, err := s.client.UploadBuffer(ctx, hostContainer, s.statusName(function), text, nil); err != nil {
		return fmt.Errorf("save the status of timer %s: %w", function, err)
	}
	return nil
}

// lock takes the lease that makes this host the only one to run a function's timer
// (host contract 6.1). It returns nil when another host holds it.
func (s storage) lock(ctx context.Context, function string, length time.Duration) (*lease.BlobClient, error) {
	name := "locks/" + s.hostID + "/Host.Functions." + function + ".Listener"
	target := s.client.ServiceClient().NewContainerClient(hostContainer).NewBlockBlobClient(name)
	held, err := lease.NewBlobClient(target, nil)
	if err != nil {
		return nil, err
	}
	_, err = held.AcquireLease(ctx, int32(length/time.Second), nil)
	if bloberror.HasCode(err, bloberror.BlobNotFound, bloberror.ContainerNotFound) {
		if err := s.createLockBlob(ctx, name); err != nil {
			return nil, err
		}
		_, err = held.AcquireLease(ctx, int32(length/time.Second), nil)
	}
	switch {
	case bloberror.HasCode(err, bloberror.LeaseAlreadyPresent):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("lock timer %s: %w", function, err)
	}
	return held, nil
}

// createLockBlob makes the empty blob unless another host was faster, which may then
// even hold its lease.
func (s storage) createLockBlob(ctx context.Context, name string) error {
	_, err := s.client.CreateContainer(ctx, hostContainer, nil)
	if err != nil && !bloberror.HasCode(err, bloberror.ContainerAlreadyExists) {
		return fmt.Errorf("create container %s: %w", hostContainer, err)
	}
	absent := azcore.ETagAny
	_, err = s.client.UploadBuffer(ctx, hostContainer, name, nil, &azblob.UploadBufferOptions{
		AccessConditions: &blob.AccessConditions{
			ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfNoneMatch: &absent}},
	})
	if err != nil && !bloberror.HasCode(err, bloberror.BlobAlreadyExists, bloberror.LeaseIDMissing, bloberror.ConditionNotMet) {
		return fmt.Errorf("create lock %s: %w", name, err)
	}
	return nil
}
