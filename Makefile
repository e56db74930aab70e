STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
NPM_DONE = local/node_modules/.package-lock.json
DIST = dist
PACKAGE = build/fhirferry.zip

.PHONY: demo test bench dist package publish upload lint deps settings api clean

# Moves resources from one simulated service to another on this machine; options: make demo ARGS="..."
demo: dist deps
	go run ./local $(ARGS)

# Everything, over the packaged app and the storage emulator. Skipping is refused (REQUIRE_AZURITE) and so is a cached
# result: the programs that the tests start are not among the inputs of Go's test cache. All of the walk's schedules run
# without the race detector, which slows them and has nothing to find there.
test: lint dist deps
	REQUIRE_AZURITE=1 go test -race -count=1 -timeout 20m ./...
	go test -count=1 -run '^TestWalk$$' ./handler/internal/migration

bench: dist deps
	go run ./local/bench $(ARGS)

# The Functions app root. Always built anew: a half-built folder must never look up to date.
dist:
	rm -rf $(DIST) && mkdir $(DIST)
	CGO_ENABLED=0 GOOS=linux GOARCH=amd64 go build -trimpath -ldflags "-s -w" -o $(DIST)/handler ./handler
	cp host.json $(DIST)/ && cp -R functions/. $(DIST)/

# The zip that releases carry and that a premium plan runs from: dist/ and nothing else, the executable bit kept.
package: dist
	go run ./local/pack $(DIST) $(PACKAGE)

# Publishes to an app on a plan flex or dedicated: make publish APP=<name>. The tool takes the runtime from this variable
# where there is no local.settings.json, and a package has none.
publish: dist
	@test -n "$(APP)" || { echo "say which app: make publish APP=<name>"; exit 1; }
	cd dist && FUNCTIONS_WORKER_RUNTIME=custom func azure functionapp publish $(APP)

# Publishes to an app on a plan premium, which reads its package with its identity: the tool above would put a signature
# that lives for years in its settings instead. make upload GROUP=<group> APP=<name> ACCOUNT=<host storage account>
upload: package
	@test -n "$(GROUP)" -a -n "$(APP)" -a -n "$(ACCOUNT)" || \
		{ echo "say where to: make upload GROUP=<group> APP=<name> ACCOUNT=<host storage account>"; exit 1; }
	az storage blob upload --auth-mode login --account-name $(ACCOUNT) --container-name package --name fhirferry.zip \
		--file $(PACKAGE) --overwrite
	az functionapp restart --resource-group $(GROUP) --name $(APP)
	az resource invoke-action --resource-group $(GROUP) --resource-type Microsoft.Web/sites --name $(APP) --action syncfunctiontriggers

lint:
	@unformatted=$$(gofmt -l handler local | grep -v /node_modules/); \
		test -z "$$unformatted" || { echo "run gofmt on: $$unformatted"; exit 1; }
	go vet ./...
	go run $(STATICCHECK) ./...

# The storage emulator and the real FHIR definitions, for tests and the demo. npm writes the stamp when it is done.
deps: $(NPM_DONE)
$(NPM_DONE): local/package.json local/package-lock.json
	cd local && npm ci --no-audit --no-fund
	touch $(NPM_DONE)

# Rewrites the settings tables of README.md and docs/settings.md from the code.
settings:
	UPDATE_README=1 go test -count=1 -run '^(TestREADMESettings|TestSettingsPage)$$' ./handler

# Rewrites docs/api.md from handler/internal/server/openapi.json.
api:
	UPDATE_API=1 go test -count=1 -run '^TestAPIPage$$' ./handler/internal/server

clean:
	rm -rf dist build
