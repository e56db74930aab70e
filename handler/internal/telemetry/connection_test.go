package telemetry

import (
	"net/http"
	"strings"
	"testing"
)

const someKey = "00000000-0000-4000-8000-00000000000a"

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"InstrumentationKey=" + someKey: "https://dc.services.visualstudio.com/v2/track",
		"ingestionendpoint=https://westeurope-5.in.applicationinsights.azure.com/; LIVEENDPOINT=https://x ;InstrumentationKey=" + someKey + ";":               "https://westeurope-5.in.applicationinsights.azure.com/v2/track",
		"InstrumentationKey=" + someKey + ";IngestionEndpoint=https://usgovvirginia-1.in.applicationinsights.azure.us/;AADAudience=https://monitor.azure.us/": "https://usgovvirginia-1.in.applicationinsights.azure.us/v2/track",
		"InstrumentationKey=" + someKey + ";EndpointSuffix=applicationinsights.azure.cn":                                                                      "https://dc.applicationinsights.azure.cn/v2/track",
		"InstrumentationKey=" + someKey + ";EndpointSuffix=applicationinsights.us;Location=usgovtexas":                                                        "https://usgovtexas.dc.applicationinsights.us/v2/track",
		"InstrumentationKey=" + someKey + ";EndpointSuffix=a.example;IngestionEndpoint=https://b.example":                                                     "https://b.example/v2/track",
		"InstrumentationKey=" + someKey + ";IngestionEndpoint=http://127.0.0.1:81/some/path/":                                                                 "http://127.0.0.1:81/some/path/v2/track",
		"InstrumentationKey=" + someKey + ";IngestionEndpoint=http://localhost:81":                                                                            "http://localhost:81/v2/track",
		"InstrumentationKey=" + someKey + ";IngestionEndpoint=http://[::1]:81":                                                                                "http://[::1]:81/v2/track",
	} {
		got, err := parse(text)
		if err != nil || got.track != want || got.key != someKey {
			t.Errorf("%s: got %+v, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "hush", "InstrumentationKey=hush", "IngestionEndpoint=https://hush.example",
		"InstrumentationKey=" + someKey + ";IngestionEndpoint=http://hush.example",
		"InstrumentationKey=" + someKey + ";IngestionEndpoint=ftp://127.0.0.1",
		"InstrumentationKey=" + someKey + ";IngestionEndpoint=https://user:hush@a.example",
		"InstrumentationKey=" + someKey + ";IngestionEndpoint=https://a.example?sig=hush",
		"InstrumentationKey=" + someKey + ";IngestionEndpoint=/hush",
		"InstrumentationKey=" + someKey + ";EndpointSuffix=hush/x",
		"InstrumentationKey=" + someKey + ";EndpointSuffix=a.example;Location=hush@b",
	} {
		if _, err := New(text, Source{}); err == nil || Check(text) == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: got %v, want a refusal that quotes nothing", text, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("InstrumentationKey=" + someKey + ";IngestionEndpoint=https://a.example/")
	f.Add("InstrumentationKey=" + someKey + ";EndpointSuffix=a.example;Location=b")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parse(text)
		if err != nil {
			return
		}
		r, err := http.NewRequest(http.MethodPost, c.track, nil)
		if err != nil || safe(r.URL) != nil || !strings.HasSuffix(r.URL.Path, "/v2/track") || r.URL.RawQuery != "" {
			t.Errorf("%q leads to %q", text, c.track)
		}
	})
}
