STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
NPM_DONE = local/node_modules/.package-lock.json

.PHONY: demo test bench dist lint deps settings clean

# Moves resources from one simulated service to another on this machine; options: make demo ARGS="..."
demo: dist deps
	go run ./local $(ARGS)

# Everything, over the packaged app and the storage emulator. Skipping is refused (REQUIRE_AZURITE) and so is a cached
# result: the programs that the tests start are not among the inputs of Go's test cache.
test: lint dist deps
	REQUIRE_AZURITE=1 go test -race -count=1 -timeout 20m ./...

bench: dist deps
	go run ./local/bench $(ARGS)

# The Functions app root. Always built anew: a half-built folder must never look up to date.
dist:
	rm -rf dist && mkdir dist
	CGO_ENABLED=0 GOOS=linux GOARCH=amd64 go build -trimpath -ldflags "-s -w" -o dist/handler ./handler
	cp host.json dist/ && cp -R functions/. dist/

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

# Rewrites the settings table of the README from the code.
settings:
	UPDATE_README=1 go test -count=1 -run '^TestREADMESettings$$' ./handler

clean:
	rm -rf dist build
