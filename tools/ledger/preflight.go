package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diagnosis"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/preflight"
)

const preflightHead = `# Pre-flight

<!-- Generated from internal/preflight by make generate. Do not edit. -->

sysprep stops at its first objection, names one package, and leaves the rest for the next
build. Before anything is changed in the guest, the provisioner makes all checks below and
shows what they say in one table: what fails, what warns, notes, what could not be told; what
holds is a number. The run ends before sysprep where a check fails. The block
[preflight](provisioners/sysprep.mdx#the-block-preflight) changes that, and makes of a build
one that only reports.

- **What cannot be told** never counts as passed and never ends a run. A pre-flight that
  cannot be made, as with a PowerShell that is locked down, says so in a line, and the run
  goes on; cmd.exe then answers what it can.
- **fail** is for what sysprep is known to refuse, or what is known to break it midway, after
  which the machine is lost; all else warns or is a note. Two exceptions make an image of no
  use: a domain controller, and a CD-ROM driver that is disabled in a build for Azure. An id in ` + "`severities`" + ` makes it another one, or ` + "`off`" + `.
- **It costs** four commands in the guest, one for each of the groups base, appx, licensing
  and roles, with their own limits (4 to 5 minutes). Against the simulated guest and over the
  provisioner's own connection that is 13 requests with what brings the script. Packer's
  communicator opens a shell for each command and needs more to bring the script. The
  groups events and efs are asked for with ` + "`report_only`" + ` only: cipher.exe looks at every
  file of the machine. The block ` + "`wait_for`" + ` costs one command more for each look.
- **It changes nothing** but a folder for the script in ` + `\Windows\Temp` + `, which is removed at
  the end of the run. What Windows does to answer is its own: DISM and WMI write into their
  logs, and TrustedInstaller and TiWorker run for some minutes.

## What was never run on Windows

None of this was run on Windows. The script (` + "`internal/guest/scripts/preflight.ps1`" + `) was run
in PowerShell 7.6 against a stubbed Windows, but for the facts that its
[contract](../internal/guest/scripts/contract.md) names; the simulated guest answers with a
twin of it. What each check rests on is its source; "reported" stands where neither
Microsoft's documents nor a complete log support it.

## Checks

In the order in which they are shown.

`

const cautions = `
## What Microsoft warns of

| caution | who looks |
|---|---|
| Store apps that are not provisioned for all users | ` + "`appx-per-user`, `appx-profile-gone`, `appx-newer`, `appx-two-versions`, `appx-system-unprovisioned`" + ` |
| RADIUS clients and remote server groups of NPS | ` + "`nps-clients`" + ` |
| the number of rearms | ` + "`rearm`, `skip-rearm`, `evaluation-end`" + `: what the guest says counts. It begins with: ` + "%s" + ` |
| several systems on one machine | ` + "`several-systems`" + `: sysprep changes the one that runs |
| product keys | ` + "`oem-key`" + `; that a key in the answer file has the right form is the linter's. With a product key in the answer file sysprep may be run any number of times, says Microsoft; whether the key activates is seen at deployment only |
| roles that sysprep does not support | ` + "`unsupported-role`, `domain-controller`, `hyperv-switches`, `cluster`" + ` |
| encrypted files (EFS) | ` + "`efs`" + `, with ` + "`report_only`" + ` |

## Roles

Microsoft's table ends with Server 2012; later versions are judged by that column.

| role | 2008 | 2008 R2 | 2012 and later | only |
|---|---|---|---|---|
`

const notChecked = `
## What is not checked

Encrypted credentials in IIS's ` + "`applicationHost.config`" + `, whether Administrator has to change
its password at the first logon, a computer name in the answer file that is the old one
(Server 2019), the drivers that the target needs to start, and what other software keeps
for itself: agents of backup, monitoring and management that are to have another identity on
each clone.
`

// preflightPage is docs/preflight.md.
func preflightPage() string {
	var b strings.Builder
	b.WriteString(preflightHead)
	b.WriteString("| id | asks that | severity |\n|---|---|---|\n")
	for _, c := range preflight.Checks() {
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %s |\n", c.ID, c.ID, plain(c.Asserts), c.Severity)
	}
	b.WriteString("\nWhere *remedy* stands, the provisioner can do it itself, [if asked to](remedies.md).\n")
	for _, c := range preflight.Checks() {
		b.WriteString(checkSection(c))
	}
	fmt.Fprintf(&b, cautions, preflight.Budgets())
	for _, r := range preflight.RoleRows() {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", r.Name, r.In2008, r.In2008R2, r.Now, r.Condition)
	}
	b.WriteString(notChecked)
	return b.String()
}

// checkSection is what the page says of one check.
func checkSection(c preflight.Check) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n### %s\n\nAsks that %s. Otherwise: %s\n\n", c.ID, plain(c.Asserts), plain(c.Means))
	severity := string(c.Severity)
	if c.When != "" {
		severity += "; " + plain(c.When)
	}
	b.WriteString("- **Severity:** " + severity + "\n")
	for _, s := range c.Steps {
		b.WriteString("- **Do:** " + prose(s.Text))
		if s.Remedy != "" {
			fmt.Fprintf(&b, " (*remedy* [%s](remedies.md#%s))", s.Remedy, s.Remedy)
		}
		b.WriteString("\n")
	}
	var causes []string
	for _, e := range diagnosis.Entries() {
		if slices.Contains(c.Causes, e.ID) {
			causes = append(causes, fmt.Sprintf("[%s](causes.md#%s)", e.ID, anchor(e)))
		}
	}
	if len(causes) > 0 {
		b.WriteString("- **Predicts:** " + strings.Join(causes, ", ") + "\n")
	}
	b.WriteString("- **Source:** " + address(c.Source))
	if c.Unconfirmed {
		b.WriteString(" (reported)")
	}
	return b.String() + "\n"
}
