package azurite

import "maps"

// Proxies are one Proxy before each service of one Azurite.
type Proxies struct {
	Blob, Queue, Table *Proxy
}

// StartProxies puts proxies before the three services; seed fixes which requests a
// fault's probability strikes, given the order of the requests.
func (a *Azurite) StartProxies(seed uint64) (*Proxies, error) {
	p := &Proxies{}
	for service, field := range map[Service]**Proxy{Blob: &p.Blob, Queue: &p.Queue, Table: &p.Table} {
		proxy, err := newProxy(service, a.hosts[service], seed)
		if err != nil {
			p.Stop()
			return nil, err
		}
		*field = proxy
	}
	return p, nil
}

// each visits the proxies that have been started.
func (p *Proxies) each(visit func(*Proxy)) {
	for _, proxy := range []*Proxy{p.Blob, p.Queue, p.Table} {
		if proxy != nil {
			visit(proxy)
		}
	}
}

// ConnectionString reaches the three services through their proxies.
func (p *Proxies) ConnectionString() string {
	hosts := map[Service]string{}
	p.each(func(proxy *Proxy) { hosts[proxy.service] = proxy.addr })
	return connectionString(hosts)
}

// BlobEndpoint is the address of the blob service through its proxy.
func (p *Proxies) BlobEndpoint() string { return endpoint(p.Blob.addr) }

// Inject adds a fault to all three services.
func (p *Proxies) Inject(f Fault) { p.each(func(proxy *Proxy) { proxy.Inject(f) }) }

// Heal removes every fault from all three services.
func (p *Proxies) Heal() { p.each((*Proxy).Heal) }

// Counts are the requests received by all three services, by operation.
func (p *Proxies) Counts() map[string]int {
	all := map[string]int{}
	p.each(func(proxy *Proxy) { maps.Copy(all, proxy.Counts()) })
	return all
}

// Stop closes the three proxies; Azurite itself goes on.
func (p *Proxies) Stop() { p.each((*Proxy).stop) }
