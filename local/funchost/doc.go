// Package funchost runs a packaged Azure Functions custom handler on this machine
// the way the Functions host runs it in Azure: it starts the executable that
// host.json names, waits for it, fires its timer, reads its queue, forwards its HTTP
// and restarts it when it ends. The rules are those of the host contract, and the
// numbers in comments (host contract 5.3, H25) are its sections and checklist.
//
// Queue messages, timer locks and timer status are real ones in a real storage
// account: two Hosts with one HostID and one account share a timer and compete for
// messages as two instances of an app do.
//
// Not simulated:
//
//   - triggers other than timerTrigger, queueTrigger and httpTrigger; output bindings
//     other than http; HTTP functions that would not be forwarded (H17, 4.3, 4.4).
//     Start refuses an app that has them rather than run it differently;
//   - retry policies, which the host applies to timers only;
//   - connections other than by connection string (managed identity), also of queues;
//   - extension bundles, file watching, run-from-package mounts, slots, the preview
//     keys customHandler.http and configurationProfile, and the older httpWorker;
//   - scale out and scale in, HTTP throttling, the 230 s of Azure's load balancer;
//   - Application Insights, traceparent, log files and the logging section;
//   - the reading of keys from storage: they are given in Options;
//   - host.json healthMonitor, aggregator, singleton and watch sections;
//   - a path with unusual escapes is re-encoded as Go does it, not as .NET does;
//   - the wake-up of a queue listener by an output binding of the same host;
//   - Windows.
package funchost
