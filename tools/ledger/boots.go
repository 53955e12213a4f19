package main

import (
	"fmt"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/boots"
)

const bootsHead = `# Where the Windows of an image starts

<!-- Generated from internal/boots by make generate. Do not edit. -->

A generalized image may still stop with INACCESSIBLE_BOOT_DEVICE (0x7B) on the machine that
it is for: no driver of the controller there is loaded in time. ` + "`boots_on`" + ` reads from the
disk what that depends on, and says for each target that you name ` + "`yes`, `no` or `unknown`" + `:

` + "```hcl" + `
verify {
  boots_on = ["azure-gen2", "hyperv", "qemu-virtio"]
}
` + "```" + `

` + "```shell" + `
packer-plugin-sysprep inspect --boots-on azure-gen2,hyperv,qemu-virtio disk.vhdx
` + "```" + `

- **yes**: everything that the target needs was found.
- **no**: something is missing that nothing makes up for. It refuses the image (severity
  ` + "`fail`" + `), with what to do.
- **unknown**: what was found shows neither. It warns; with ` + "`boots_on_strict = true`" + `
  (` + "`--boots-on-strict`" + `) it refuses the image as well.
  Without ` + "`boots_on`" + ` there is nothing to be strict about, and the template is refused.

A second assertion, with ` + "`-besides`" + ` behind its id, warns of what a Windows that has started
misses there: the driver of the network card, the agent, a signature for Secure Boot. It has
no say in the verdict. The ids are ` + "`boots-on-<target>` and `boots-on-<target>-besides`" + `;
` + "`severities`" + ` changes them as any other: ` + "`severities = { boots-on-qemu-virtio = \"warn\" }`" + `.

## What was never seen

**No machine was started for this page, and none of it was held against a generalized
Windows.** No SYSTEM hive of a generalized machine was at hand, no boot configuration that
generalize has left, no hive DRIVERS, and no real bootmgfw.efi. The hives of two machines in use, a
Windows 7 and a Windows 10 1709, were read, and disks that were made for the tests. So:

- ` + "`yes`" + ` says that nothing known speaks against it, not that somebody has seen it start.
- What a driver of a network card is called, and the rows that are marked "unconfirmed", rest
  on documents of others or on field reports.

## StartOverride

On a Windows 8 or later in use, Start = 0 says little: for the drivers of controllers that the
machine does not have, Windows sets StartOverride to 3, which beats Start. On the Windows 10
above 44 of 86 drivers are overridden so, all of other controllers among them. Generalize resets
drivers of the start, says [Microsoft](https://learn.microsoft.com/windows-hardware/manufacture/desktop/maintain-driver-configurations-when-capturing-a-windows-image),
unless the answer file sets PersistAllDeviceInstalls; and Windows may load the driver of the
disk that it is started from all the same. Neither was seen. A driver that is overridden is
therefore never a reason for ` + "`yes`" + `, and none for ` + "`no`" + ` either: the verdict is ` + "`unknown`" + `, with the
value as evidence, and with the answer file on the disk that keeps it, where one does.

## What each target needs

For each target with drivers:

- the services acpi, disk, partmgr, volmgr and mountmgr; where one is not as it should be the
  verdict is ` + "`unknown`" + `;
- for every service of one way to the disk: its key, Start = 0, no StartOverride but 0, and a file
  that is there and not empty or all zeros;
- one of the hardware ids bound to a driver, in DriverDatabase (hive SYSTEM or DRIVERS) or, before
  Windows 8, in CriticalDeviceDatabase. An id there may be longer: virtio's names a revision;
- filter drivers of the classes DiskDrive, Volume, SCSIAdapter, HDC and System whose service and
  file are there. One that is missing keeps every device of the class from starting: ` + "`no`" + `;
- the boot files, and a default boot entry whose partition is on the disk, or that is found at
  boot; otherwise ` + "`unknown`" + `.

What could not be read is ` + "`unknown`" + `, never missing.

| target | is | partition table | a way to the disk | no, where | warns of | source |
|---|---|---|---|---|---|---|
`

const bootsEnd = `
Secure Boot: the signatures of bootmgfw.efi are checked (the hash of the program, the signature,
the signer's certificate). Whether an authority is who its name says is not checked. A
certificate that has expired counts as good, as firmware does not look at dates. Whether firmware
has revoked one (dbx) is not checked either.
`

// bootsPage is docs/boots-on.md.
func bootsPage() string {
	var b strings.Builder
	b.WriteString(bootsHead)
	cell := strings.NewReplacer("|", `\|`, "<", "&lt;")
	for _, r := range boots.Table() {
		sources := strings.Join(r.Sources, "; ")
		if r.Unconfirmed {
			sources += "; unconfirmed"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s | %s |\n", r.Name, cell.Replace(r.Title), r.Starts, cell.Replace(r.Storage), r.Refuses, cell.Replace(r.Besides), cell.Replace(sources))
	}
	return b.String() + bootsEnd
}
