package store

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"fhirferry/handler/internal/migration"
)

// createContainer makes a container where it is missing.
func createContainer(ctx context.Context, c *container.Client) error {
	if _, err := c.Create(ctx, nil); err != nil && !thereAlready(err) {
		return fmt.Errorf("create a container: %w", err)
	}
	return nil
}

// Documents longer than this go up in blocks of this size, each repeated by itself when it fails.
const blockSize = 8 << 20

// PutDocument writes a document once; when it is there already its content is returned.
func (l *Ledger) PutDocument(ctx context.Context, runID, name string, content []byte) ([]byte, error) {
	client := l.documents.NewBlockBlobClient(runID + "/" + name)
	absent := &blob.AccessConditions{ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfNoneMatch: to.Ptr(azcore.ETagAny)}}
	upload := func() error {
		_, err := client.UploadStream(ctx, bytes.NewReader(content), &blockblob.UploadStreamOptions{
			BlockSize: blockSize, Concurrency: 2, AccessConditions: absent,
		})
		return err
	}
	err := upload()
	if refusedWith(err, http.StatusNotFound) {
		if err := createContainer(ctx, l.documents); err != nil {
			return nil, err
		}
		err = upload()
	}
	switch {
	case err == nil:
		return content, nil
	case bloberror.HasCode(err, bloberror.BlobAlreadyExists, bloberror.ConditionNotMet):
		return l.Document(ctx, runID, name)
	}
	return nil, fmt.Errorf("write document %s: %w", name, err)
}

// Document reads a document; migration.ErrNotFound.
func (l *Ledger) Document(ctx context.Context, runID, name string) ([]byte, error) {
	answer, err := l.documents.NewBlobClient(runID+"/"+name).DownloadStream(ctx, nil)
	if refusedWith(err, http.StatusNotFound) {
		return nil, migration.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("read document %s: %w", name, err)
	}
	body := answer.NewRetryReader(ctx, nil)
	var content bytes.Buffer
	_, err = io.Copy(&content, body)
	if cerr := body.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, fmt.Errorf("read document %s: %w", name, err)
	}
	return content.Bytes(), nil
}
