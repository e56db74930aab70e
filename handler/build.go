package main

import (
	"fmt"
	"log/slog"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue"

	"fhirferry/handler/internal/engine"
	"fhirferry/handler/internal/fhir"
	"fhirferry/handler/internal/migration"
	"fhirferry/handler/internal/server"
	"fhirferry/handler/internal/store"
)

// build makes the engine from the settings. Without the addresses and the storage that it stands on there is none, and
// the problems say why. With other problems there is one, so that an operator can look at a run under way; the server
// lets it start nothing.
func build(c config, log *slog.Logger) (*engine.Engine, []engine.SettingProblem) {
	var problems []engine.SettingProblem
	for _, p := range c.problems {
		problems = append(problems, engine.SettingProblem{Setting: p.setting, Detail: p.detail, Remedy: p.remedy})
	}
	if c.sourceURL == "" || c.destinationURL == "" || c.stagingURL == "" || c.stagingContainer == "" || c.queue == "" || !c.storage.usable() {
		return nil, problems
	}
	eng, err := c.engine(log)
	if err != nil {
		return nil, append(problems, engine.SettingProblem{
			Setting: "clients", Detail: err.Error(), Remedy: "mend the setting that the text names",
		})
	}
	return eng, problems
}

func (c config) engine(log *slog.Logger) (*engine.Engine, error) {
	tokens, err := newCredentials(c)
	if err != nil {
		return nil, err
	}
	source, destination, err := c.services(tokens, log)
	if err != nil {
		return nil, err
	}
	clients, err := c.storage.clients(tokens.storage)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", storageName, err)
	}
	staging, err := blobService(c.stagingConnection, c.stagingURL, tokens.staging)
	if err != nil {
		return nil, fmt.Errorf("FERRY_STAGING_CONNECTION: %w", err)
	}
	return engine.New(source, destination,
		store.NewLedger(clients.tables, clients.blobs.NewContainerClient(store.DocumentsContainer)),
		store.NewQueue(clients.queues.NewQueueClient(c.queue)),
		store.NewStaging(staging, c.stagingURL, c.stagingContainer),
		log, c.frozen(), c.limits()), nil
}

// services are the clients of both FHIR services, each with the credential that is its own.
func (c config) services(tokens credentials, log *slog.Logger) (source, destination *fhir.Client, err error) {
	source, err = fhir.New(c.sourceURL, fhir.Options{Credential: tokens.source, Timeout: c.requestTimeout, Observe: observe(log)})
	if err != nil {
		return nil, nil, fmt.Errorf("FERRY_SOURCE_URL: %w", err)
	}
	destination, err = fhir.New(c.destinationURL, fhir.Options{Credential: tokens.destination, Timeout: c.requestTimeout, Observe: observe(log)})
	if err != nil {
		return nil, nil, fmt.Errorf("FERRY_DESTINATION_URL: %w", err)
	}
	return source, destination, nil
}

// frozen are the settings that a run keeps from its start to its end.
func (c config) frozen() migration.Settings {
	return migration.Settings{
		Source: c.sourceURL, Destination: c.destinationURL, Staging: c.stagingURL, Container: c.stagingContainer,
		Mode: migration.Mode(c.mode), Since: c.since, Until: c.until, Types: c.types, Window: c.window,
		ChunkLimit: c.chunkLimit, History: c.history, Deleted: c.deleted,
		AnonymizationConfig: c.anonymizationConfig, AnonymizationETag: c.anonymizationETag,
	}
}

func (c config) limits() engine.Limits {
	return engine.Limits{
		Limits: migration.Limits{
			MaxExports: c.maxExports, MaxImports: c.maxImports, MaxFailures: c.maxFailures,
			Confirmations: c.confirmations, Poll: c.poll, SearchParameters: c.searchParameters, Quiet: c.quietHours, QuietImports: c.quietImports,
		},
		FilesPerImport: c.filesPerImport, MaxCount: c.maxCount, Parallel: c.parallel, Settle: c.settle, Interval: c.interval,
		ConfirmInterval: c.confirmInterval, Stall: c.stall, RequestTimeout: c.requestTimeout,
	}
}

// storageClients reach the three services of the account of AzureWebJobsStorage.
type storageClients struct {
	tables *aztables.ServiceClient
	queues *azqueue.ServiceClient
	blobs  *service.Client
}

// usable reports whether each of the three services has an address.
func (s storageConfig) usable() bool {
	return s.connection.reveal() != "" || s.tables != "" && s.queues != "" && s.blobs != ""
}

func (s storageConfig) clients(token azcore.TokenCredential) (c storageClients, err error) {
	connection := s.connection.reveal()
	if connection != "" {
		c.tables, err = aztables.NewServiceClientFromConnectionString(connection, nil)
	} else {
		c.tables, err = aztables.NewServiceClient(s.tables, token, nil)
	}
	if err != nil {
		return c, fmt.Errorf("reach the table service: %w", err)
	}
	if connection != "" {
		c.queues, err = azqueue.NewServiceClientFromConnectionString(connection, nil)
	} else {
		c.queues, err = azqueue.NewServiceClient(s.queues, token, nil)
	}
	if err != nil {
		return c, fmt.Errorf("reach the queue service: %w", err)
	}
	c.blobs, err = blobService(s.connection, s.blobs, token)
	return c, err
}

// blobService reaches an account's blobs by connection string, or by endpoint and identity.
func blobService(connection secret, endpoint string, token azcore.TokenCredential) (*service.Client, error) {
	var client *service.Client
	var err error
	if text := connection.reveal(); text != "" {
		client, err = service.NewClientFromConnectionString(text, nil)
	} else {
		client, err = service.NewClient(endpoint, token, nil)
	}
	if err != nil {
		return nil, fmt.Errorf("reach the blob service: %w", err)
	}
	return client, nil
}

// verbs hands the engine's methods to the server.
func verbs(e *engine.Engine) *server.Verbs {
	return &server.Verbs{
		Tick: e.Tick, Visit: e.Visit, Start: e.Start, Pause: e.Pause, Resume: e.Resume, Stop: e.Stop,
		CutOver: e.CutOver, Retry: e.Retry, Status: e.Status, Chunks: e.Chunks, Record: e.Record, Rejects: e.Rejects,
		Access: e.Access, StartCheck: e.StartCheck, Checks: e.Checks, Check: e.Check,
	}
}
