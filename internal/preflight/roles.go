package preflight

import (
	"fmt"
	"slices"
	"strings"
)

// inTable is what Microsoft's table says of a role in a version.
type inTable uint8

const (
	unsupported inTable = iota
	supported
	notInTable // n/a, or no word of it
)

// role is one of Microsoft's table of roles that sysprep supports, for Server 2008, 2008 R2
// and 2012. feature is its name in Get-WindowsFeature, dism that of the optional feature.
type role struct {
	name, feature, dism string
	in                  [3]inTable
	// condition is what the support depends on.
	condition string
}

// serverRoles are those that are not supported everywhere (docRoles).
var serverRoles = []role{
	{"Active Directory Certificate Services", "AD-Certificate", "ADCertificateServicesRole", [3]inTable{}, ""},
	{"Active Directory Domain Services", "AD-Domain-Services", "DirectoryServices-DomainController", [3]inTable{}, ""},
	{"Active Directory Federation Services", "ADFS-Federation", "", [3]inTable{}, ""},
	{"Active Directory Lightweight Directory Services", "ADLDS", "DirectoryServices-ADAM", [3]inTable{}, ""},
	{"Active Directory Rights Management Services", "ADRMS", "RightsManagementServices-Role", [3]inTable{}, ""},
	{"DHCP Server", "DHCP", "DHCPServer", [3]inTable{supported, unsupported, unsupported}, ""},
	{"DNS Server", "DNS", "DNS-Server-Full-Role", [3]inTable{notInTable, notInTable, notInTable}, ""},
	{"Fax Server", "Fax", "FaxServiceRole", [3]inTable{}, ""},
	{"File and Storage Services", "FileAndStorage-Services", "", [3]inTable{unsupported, supported, supported}, ""},
	{"Network Policy and Access Services", "NPAS", "NPAS-Role", [3]inTable{}, ""},
	{"Print and Document Services", "Print-Services", "Printing-Server-Foundation-Features", [3]inTable{unsupported, supported, supported}, ""},
	{"Volume Activation Services", "VolumeActivation", "VolumeActivation-Full-Role", [3]inTable{notInTable, notInTable, notInTable}, ""},
	{"Windows Deployment Services", "WDS", "Microsoft-Windows-Deployment-Services", [3]inTable{unsupported, unsupported, supported}, "only where it is not initialized: wdsutil /uninitialize-server"},
	{"Windows Server Update Services", "UpdateServices", "UpdateServices", [3]inTable{}, ""},
	{"Web Server (IIS)", "Web-Server", "IIS-WebServerRole", [3]inTable{supported, supported, supported}, "only without encrypted credentials in applicationHost.config, which depend on the machine key"},
}

// roles judges them on servers.
func roles(q inquiry) answer {
	v, known := q.Version()
	switch {
	case !known:
		return cannot(notUnderstood)
	case v.Client:
		return skip()
	}
	installed, known := q.Roles.Get()
	features, featuresKnown := q.OptionalFeatures.Get()
	if (!known || installed.Source == "none") && !featuresKnown {
		why := q.Roles.Why()
		if known {
			why = q.OptionalFeatures.Why()
		}
		return cannot(why)
	}
	column := 2
	switch {
	case v.Build <= builds2008:
		column = 0
	case v.Build <= builds2008R2:
		column = 1
	}
	a := fails("")
	var bad, names []string
	for _, r := range serverRoles {
		if !has(installed.Installed, r.feature) && !has(features.Installed, r.dism) {
			continue
		}
		switch s := r.in[column]; {
		case s == unsupported:
			bad, names = append(bad, r.name+": not supported"), append(names, r.name)
		case s == notInTable:
			names = append(names, r.name)
			bad = append(bad, r.name+": Microsoft does not say whether it is supported")
		case r.condition != "" && r.feature == "WDS":
			names = append(names, r.name)
			bad = append(bad, r.name+": "+r.condition)
		case r.condition != "": // what it depends on is not read
			a = a.noted(r.name + " is supported " + r.condition)
		}
	}
	a = a.seen(bad...)
	a.text = fmt.Sprintf("roles that sysprep does not support: %s", strings.Join(names[:min(4, len(names))], ", "))
	return when(len(bad) > 0, a)
}

func has(list []string, name string) bool {
	return name != "" && slices.ContainsFunc(list, func(s string) bool { return strings.EqualFold(s, name) })
}

// RoleRow is a role of the table for a reader: what Microsoft says of it for Server 2008,
// 2008 R2 and 2012, and how a later version is judged.
type RoleRow struct {
	Name                  string
	In2008, In2008R2, Now string
	Condition             string
}

// RoleRows are all rows.
func RoleRows() (rows []RoleRow) {
	word := map[inTable]string{unsupported: "no", supported: "yes", notInTable: "not named"}
	for _, r := range serverRoles {
		rows = append(rows, RoleRow{r.name, word[r.in[0]], word[r.in[1]], word[r.in[2]], r.condition})
	}
	return rows
}

// Budgets says where the count of rearms begins, by version.
func Budgets() string { return budgets }
