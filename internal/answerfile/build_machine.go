package answerfile

import (
	"cmp"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/hashicorp/packer-plugin-sdk/template/config"
)

// timeZone refuses a name of IANA, which Windows does not know, and says what to
// write. Other names are for the linter.
func (b *builder) timeZone(name string) string {
	if zone, ok := WindowsTimeZone(name); ok && !strings.EqualFold(zone, strings.TrimSpace(name)) {
		b.fail("time_zone", "is a name of IANA, which Windows does not know: write %q", zone)
	}
	return name
}

// groupNames replaces the SIDs of built-in groups by the names that Windows
// knows in every language.
func groupNames(list string) string {
	names := strings.Split(list, ";")
	for i, name := range names {
		if known, ok := GroupName(name); ok {
			names[i] = known
		}
	}
	return strings.Join(names, ";")
}

func (b *builder) oem(o *OEMInformation) *Element {
	if o == nil {
		return nil
	}
	return group("OEMInformation",
		text("Manufacturer", o.Manufacturer),
		text("Model", o.Model),
		text("SupportAppURL", o.SupportAppURL),
		text("SupportHours", o.SupportHours),
		text("SupportPhone", o.SupportPhone),
		text("SupportProvider", o.SupportProvider),
		text("SupportURL", o.SupportURL))
}

func (b *builder) domainJoin(j *DomainJoin) {
	if j == nil {
		return
	}
	ways := 0
	for _, way := range []string{j.Domain, j.Workgroup, string(j.AccountData)} {
		if way != "" {
			ways++
		}
	}
	switch {
	case ways != 1:
		b.fail("domain_join", "needs one of domain, workgroup and account_data: set exactly one")
	case j.Domain == "" && (j.Username != "" || j.Password != "" || j.UserDomain != "" || j.MachineObjectOU != ""):
		b.fail("domain_join", "has username, password, user_domain or machine_object_ou, which are for joining a domain: set domain, or remove them")
	case j.Domain != "" && (j.Username == "") != (j.Password == ""):
		b.fail("domain_join", "needs both username and password, or neither")
	}
	var credentials *Element
	if j.Username != "" {
		// Windows does not decode this password: it is written as it is.
		credentials = group("Credentials",
			text("Domain", cmp.Or(j.UserDomain, j.Domain)),
			text("Password", string(j.Password)),
			text("Username", j.Username))
	}
	b.add(Specialize, compJoin, group("Identification",
		credentials,
		text("JoinDomain", j.Domain),
		text("JoinWorkgroup", j.Workgroup),
		text("MachineObjectOU", j.MachineObjectOU),
		group("Provisioning", text("AccountData", string(j.AccountData))),
		flag("UnsecureJoin", j.UnsecureJoin)))
}

func (b *builder) network(list []NetworkInterface) {
	var addressed, named []*Element
	for i, n := range list {
		field := fmt.Sprintf("network_interface %d", i+1)
		if isBlank(n.Identifier) {
			b.fail(field, "has no identifier: set the name of the interface or its MAC address")
		}
		dhcp := n.DHCP
		for _, a := range n.Addresses {
			prefix, err := netip.ParsePrefix(a)
			switch {
			case placeholder(a): // not known yet
			case err != nil:
				b.fail(field, "has the address %q: write it with the length of its prefix, for example 192.0.2.10/24", quotable(a))
			case prefix.Addr().Is4() && dhcp == config.TriUnset:
				dhcp = config.TriFalse
			}
		}
		b.addressField(field, "gateway", n.Gateway)
		for _, server := range n.DNSServers {
			b.addressField(field, "dns_servers", server)
		}
		prefix := "0.0.0.0/0"
		if strings.Contains(n.Gateway, ":") {
			prefix = "::/0"
		}
		var routes *Element
		if n.Gateway != "" {
			routes = group("Routes", item("Route",
				text("Identifier", "0"), text("NextHopAddress", n.Gateway), text("Prefix", prefix)))
		}
		identifier := text("Identifier", n.Identifier)
		if settings := present([]*Element{
			group("Ipv4Settings", flag("DhcpEnabled", dhcp)), routes, keyed("UnicastIpAddresses", "IpAddress", n.Addresses),
		}); len(settings) > 0 {
			addressed = append(addressed, item("Interface", append([]*Element{identifier}, settings...)...))
		}
		if settings := present([]*Element{
			text("DNSDomain", n.DNSDomain), keyed("DNSServerSearchOrder", "IpAddress", n.DNSServers),
		}); len(settings) > 0 {
			named = append(named, item("Interface", append([]*Element{identifier}, settings...)...))
		}
	}
	b.add(Specialize, compTCPIP, group("Interfaces", addressed...))
	b.add(Specialize, compDNS, group("Interfaces", named...))
}

func (b *builder) addressField(field, option, value string) {
	if _, err := netip.ParseAddr(value); value != "" && err != nil && !placeholder(value) {
		b.fail(field, "has %s %q: write an IP address", option, quotable(value))
	}
}

// keyed is a list whose items are texts with numbers for keys.
func keyed(list, one string, values []string) *Element {
	var items []*Element
	for i, v := range values {
		items = append(items, &Element{Name: unattendName(one), Text: v, Attrs: wcmAttrs("action", "add", "keyValue", strconv.Itoa(i+1))})
	}
	return group(list, items...)
}
