package main

import (
	"fmt"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// credentials are what the clients ask for tokens. A nil one means that no token is needed: FERRY_AUTH is none, or a
// connection string opens the door.
type credentials struct {
	source, destination, staging, storage azcore.TokenCredential
}

// newCredentials builds what the settings ask for. No network is used: a token is fetched with the first request.
func newCredentials(c config) (credentials, error) {
	return newCredentialsOver(c, azcore.ClientOptions{})
}

// newCredentialsOver is newCredentials with another way to the places that give tokens, and to another cloud's.
func newCredentialsOver(c config, way azcore.ClientOptions) (credentials, error) {
	app, err := c.identity(c.clientID, way)
	if err != nil {
		return credentials{}, fmt.Errorf("build the app's credential: %w", err)
	}
	var made credentials
	if c.auth == authAzure {
		made.source, made.destination = app, app
	}
	if c.auth == authAzure && c.sourceTenant != "" {
		made.source, err = azidentity.NewClientSecretCredential(c.sourceTenant, c.sourceClient, c.sourceSecret.reveal(),
			&azidentity.ClientSecretCredentialOptions{ClientOptions: way})
		if err != nil {
			return credentials{}, fmt.Errorf("build the source's credential from FERRY_SOURCE_TENANT_ID, "+
				"FERRY_SOURCE_CLIENT_ID and FERRY_SOURCE_CLIENT_SECRET: %w", err)
		}
	}
	if c.stagingConnection.reveal() == "" {
		made.staging = app
	}
	if c.storage.connection.reveal() == "" {
		if made.storage, err = c.storageIdentity(app, way); err != nil {
			return credentials{}, fmt.Errorf("build the credential of %s: %w", storageName, err)
		}
	}
	return made, nil
}

// storageIdentity is the app's identity unless the account has one of its own.
func (c config) storageIdentity(app azcore.TokenCredential, way azcore.ClientOptions) (azcore.TokenCredential, error) {
	client := c.storage.clientID
	if client == "" {
		client = c.clientID
	}
	switch {
	case c.storage.managedIdentity:
		return managedIdentity(client, way)
	case client != c.clientID:
		return c.identity(client, way)
	}
	return app, nil
}

// identity is the managed identity where the platform offers one. Elsewhere, on a developer's machine, it is whoever is
// signed in there; that chain reads AZURE_CLIENT_ID from the environment by itself.
func (c config) identity(client string, way azcore.ClientOptions) (azcore.TokenCredential, error) {
	if c.identityEndpoint {
		return managedIdentity(client, way)
	}
	return azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{ClientOptions: way})
}

// managedIdentity is the user-assigned identity with that client id, or the system-assigned one.
func managedIdentity(client string, way azcore.ClientOptions) (azcore.TokenCredential, error) {
	options := azidentity.ManagedIdentityCredentialOptions{ClientOptions: way}
	if client != "" {
		options.ID = azidentity.ClientID(client)
	}
	return azidentity.NewManagedIdentityCredential(&options)
}
