package sbom

import (
	"fmt"
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/inventory"
)

// clients and servers are the products of NVD's dictionary of CPEs by the build of Windows.
// Windows 11 still calls itself Windows 10 in the registry: only the build tells.
var (
	clients = map[string]string{
		"10240": "windows_10_1507", "10586": "windows_10_1511", "14393": "windows_10_1607", "15063": "windows_10_1703", "16299": "windows_10_1709",
		"17134": "windows_10_1803", "17763": "windows_10_1809", "18362": "windows_10_1903", "18363": "windows_10_1909", "19041": "windows_10_2004",
		"19042": "windows_10_20h2", "19043": "windows_10_21h1", "19044": "windows_10_21h2", "19045": "windows_10_22h2",
		"22000": "windows_11_21h2", "22621": "windows_11_22h2", "22631": "windows_11_23h2", "26100": "windows_11_24h2", "26200": "windows_11_25h2",
	}
	servers = map[string]string{
		"14393": "windows_server_2016", "17763": "windows_server_2019", "20348": "windows_server_2022", "25398": "windows_server_2022_23h2", "26100": "windows_server_2025",
	}
	// older ones have no build in their CPEs but a release and a service pack.
	olderClients = map[string]string{"7600": "windows_7:-", "7601": "windows_7:-", "9200": "windows_8:-", "9600": "windows_8.1:-"}
	olderServers = map[string]string{"7600": "windows_server_2008:r2", "7601": "windows_server_2008:r2", "9200": "windows_server_2012:-", "9600": "windows_server_2012:r2"}
)

// cpe is the name under which vulnerabilities of the system are kept; empty where its
// build is not known. Build and revision in it decide which of them apply.
func cpe(o inventory.OS) string {
	processor, ok := map[string]string{"amd64": "x64", "x86": "x86", "arm64": "arm64"}[o.Architecture]
	if !ok {
		processor = "*"
	}
	named, older := clients[o.Build], olderClients[o.Build]
	if o.Server() {
		named, older = servers[o.Build], olderServers[o.Build]
	}
	switch {
	case named != "" && digitsAndDots(o.Version):
		return fmt.Sprintf("cpe:2.3:o:microsoft:%s:%s:*:*:*:*:*:%s:*", named, o.Version, processor)
	case older != "":
		pack := "-"
		if n, ok := strings.CutPrefix(o.ServicePack, "Service Pack "); ok && len(n) == 1 && digitsAndDots(n) {
			pack = "sp" + n
		}
		return fmt.Sprintf("cpe:2.3:o:microsoft:%s:%s:*:*:*:*:%s:*", older, pack, processor)
	}
	return ""
}

func digitsAndDots(s string) bool { return s != "" && strings.Trim(s, "0123456789.") == "" }

// purl is a package URL of the type generic, for there is none for Windows. Those of
// Microsoft's own parts have the namespace microsoft, as Google's osv-scalibr writes them.
// Qualifiers come in pairs; those without a value are left out.
func purl(namespace, name, version string, qualifiers ...string) string {
	var b strings.Builder
	b.WriteString("pkg:generic/")
	if namespace != "" {
		b.WriteString(percent(namespace) + "/")
	}
	b.WriteString(percent(name))
	if version != "" {
		b.WriteString("@" + percent(version))
	}
	var pairs []string
	for i := 0; i+1 < len(qualifiers); i += 2 {
		if qualifiers[i+1] != "" {
			pairs = append(pairs, qualifiers[i]+"="+percent(qualifiers[i+1]))
		}
	}
	slices.Sort(pairs)
	if len(pairs) > 0 {
		b.WriteString("?" + strings.Join(pairs, "&"))
	}
	return b.String()
}

// percent encodes what a package URL does not take as it is
// (https://github.com/package-url/purl-spec).
func percent(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-._~:", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
