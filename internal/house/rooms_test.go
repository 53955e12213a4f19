package house

// rooms are the packages of the design, each above those it imports, which it names all.
// Whoever needs an arrow that is not here asks first whether what is wanted stands in the
// right room, and takes away the one that he needs no more.
var rooms = []room{
	{name: "e2e"},
	{name: "tools/winsim", may: []string{"internal/runlog", "internal/winsim", "internal/winsim/boot", "internal/winsim/replay"}},
	{name: "tools/platforms", may: []string{"tools/released"}},
	{name: "tools/release", may: []string{"tools/released", "version"}},
	{name: "tools/released"},
	{name: "tools/emptyplugin", packer: true},
	{name: "tools/settings"},
	{name: "tools/jenkinsfile"},
	{name: "tools/ledger", may: []string{"internal/boots", "internal/diagnosis", "internal/preflight", "internal/target", "internal/winimage", "internal/windows"}},
	{name: "tools/manual", may: []string{"internal/cli"}},
	{name: "tools/schema", may: []string{"internal/cli", "internal/diagnosis", "internal/finding", "internal/finding/render", "internal/report", "internal/runlog", "internal/winimage"}},
	{name: ".", may: []string{"builder/vhd", "post-processor/image", "provisioner/sysprep", "internal/cli", "internal/edge", "version"}, packer: true},

	// The components: they speak with Packer.
	{name: "provisioner/sysprep", packer: true, may: []string{
		"internal/answerfile", "internal/cloudagent", "internal/diagnosis", "internal/finding", "internal/finding/render", "internal/footprint", "internal/guest", "internal/guest/packercomm", "internal/guest/winrmguest",
		"internal/lockout", "internal/preflight", "internal/verdict", "internal/windows", "internal/winrm", "internal/winrm/files", "internal/sshport",
		"internal/hypervisor", // the events of the machine that our own builder hands on
		"internal/edge", "internal/edge/packerui", "internal/heartbeat", "internal/hostfile", "internal/option", "internal/parent", "internal/record", "internal/report", "internal/report/block", "internal/runlog", "internal/secrets", "internal/unknown", "version", "internal/lazyregexp",
	}},
	{name: "builder/vhd", packer: true, may: []string{
		"internal/boottest", "internal/compact", "internal/diagnosis", "internal/diskimage", "internal/download", "internal/evidence", "internal/evidencefile", "internal/httpdisk", "internal/hypervisor", "internal/hypervisor/qemu", "internal/hypervisor/running",
		"internal/lockout", "internal/partition", "internal/proof", "internal/sshport", "internal/verdict", "internal/windows", "internal/winimage", "internal/winrm", "internal/winrm/communicator",
		"internal/edge", "internal/edge/packerui", "internal/heartbeat", "internal/hostfile", "internal/option", "internal/parent", "internal/record", "internal/report", "internal/report/block", "internal/runlog", "internal/secrets", "internal/unknown", "internal/weburl", "version", "internal/lazyregexp",
	}},
	{name: "post-processor/image", packer: true, may: []string{
		"internal/capture", "internal/compact", "internal/diskimage", "internal/evidence", "internal/evidencefile", "internal/proof", "internal/wim", "internal/winimage",
		"internal/edge", "internal/edge/packerui", "internal/foreign", "internal/heartbeat", "internal/hostfile", "internal/option", "internal/parent", "internal/report", "internal/report/block", "internal/runlog", "internal/unknown", "internal/weburl",
	}},
	{name: "internal/cli", may: []string{
		"internal/answerfile", "internal/boots", "internal/diagnosis", "internal/diskimage", "internal/evidence", "internal/finding", "internal/finding/render", "internal/httpdisk", "internal/inventory", "internal/preflight", "internal/sbom", "internal/target", "internal/winimage",
		"internal/adopt", "internal/capture", "internal/edge", "internal/foreign", "internal/hostfile", "internal/weburl", "internal/wim", "version", "internal/lazyregexp",
	}},
	// Templates are HCL.
	{name: "internal/adopt", packer: true},

	// Adapters to Packer.
	{name: "internal/report/block", packer: true, may: []string{"internal/finding", "internal/finding/render", "internal/hostfile", "internal/proof", "internal/report", "internal/secrets", "internal/unknown", "internal/verdict", "version", "internal/lazyregexp"}},
	{name: "internal/evidencefile", packer: true, may: []string{"internal/diskimage", "internal/evidence", "internal/foreign", "internal/heartbeat", "internal/inventory", "internal/proof", "internal/sbom", "internal/secrets", "internal/unknown", "internal/winimage", "version"}},
	{name: "internal/proof", packer: true, may: []string{"internal/boots", "internal/diskimage", "internal/evidence", "internal/finding", "internal/finding/render", "internal/foreign", "internal/heartbeat", "internal/hostfile", "internal/target", "internal/unknown", "internal/winimage", "internal/lazyregexp"}},
	{name: "internal/guest/packercomm", packer: true, may: []string{"internal/guest", "internal/lockout", "internal/lazyregexp"}},
	{name: "internal/guest/winrmguest", may: []string{"internal/guest", "internal/winrm", "internal/winrm/files"}},
	{name: "internal/winrm/communicator", packer: true, may: []string{"internal/heartbeat", "internal/lockout", "internal/winrm", "internal/winrm/files", "internal/lazyregexp"}},
	{name: "internal/edge/packerui", packer: true, may: []string{"internal/edge"}},

	// Machines and guests.
	// A driver owns its options, which are HCL.
	{name: "internal/hypervisor/qemu", packer: true, may: []string{"internal/diskimage", "internal/hypervisor", "internal/hostfile", "internal/option", "internal/windows"}},
	{name: "internal/hypervisor/running", packer: true, may: []string{"internal/hypervisor", "internal/sshport", "internal/winrm"}},
	{name: "internal/sshport", may: []string{"internal/winrm"}},
	{name: "internal/winrm/files", may: []string{"internal/footprint", "internal/guest/scripts", "internal/winrm", "internal/lazyregexp"}},
	{name: "internal/winrm", may: []string{"internal/lockout"}},
	{name: "internal/hypervisor", packer: true, may: []string{"internal/diskimage"}},
	{name: "internal/guest", may: []string{"internal/footprint", "internal/guest/scripts", "internal/windows", "internal/lazyregexp"}},

	{name: "internal/capture", may: []string{"internal/diskimage", "internal/hostfile", "internal/ntfs", "internal/partition", "internal/wim", "internal/winimage"}},

	// What judges, and what states a judgement.
	{name: "internal/boots", may: []string{"internal/cloudagent", "internal/finding", "internal/target", "internal/windows", "internal/winimage"}},
	{name: "internal/boottest", may: []string{"internal/diagnosis", "internal/windows", "internal/winimage"}},
	{name: "internal/evidence", may: []string{"internal/finding", "internal/foreign", "internal/hostfile", "internal/lazyregexp", "internal/winimage"}},
	{name: "internal/winimage", may: []string{
		"internal/answerfile", "internal/authenticode", "internal/budget", "internal/diagnosis", "internal/diskimage", "internal/finding", "internal/footprint", "internal/foreign",
		"internal/fat", "internal/ntfs", "internal/partition", "internal/regf", "internal/windows", "internal/lazyregexp",
	}},
	{name: "internal/sbom", may: []string{"internal/foreign", "internal/inventory"}},
	{name: "internal/inventory", may: []string{"internal/budget", "internal/regf", "internal/windows", "internal/lazyregexp"}},
	{name: "internal/target", may: []string{"internal/diskimage", "internal/finding"}},
	{name: "internal/verdict", may: []string{"internal/diagnosis", "internal/finding/render", "internal/windows", "internal/lazyregexp"}},
	{name: "internal/preflight", may: []string{"internal/finding", "internal/windows", "internal/lazyregexp"}},
	// The block unattend is HCL.
	{name: "internal/answerfile", packer: true, may: []string{"internal/finding", "internal/secrets", "internal/windows", "internal/lazyregexp"}},
	{name: "internal/diagnosis", may: []string{"internal/budget", "internal/finding", "internal/secrets", "internal/windows", "internal/lazyregexp"}},
	{name: "internal/finding/render", may: []string{"internal/finding", "internal/foreign", "internal/report", "internal/runlog", "internal/weburl"}},
	{name: "internal/report", may: []string{"internal/finding", "internal/runlog"}},

	{name: "internal/evidence/evidencetest"},                                                                                      // for tests only
	{name: "internal/report/schematest", may: []string{"internal/testutil"}},                                                      // for tests only
	{name: "internal/winimage/winimagetest", may: []string{"internal/diskimage", "internal/regf/hivewrite", "internal/testutil"}}, // for tests only

	{name: "internal/sbom/cyclonedxtest", may: []string{"internal/testutil"}}, // for tests only

	// Formats.
	{name: "internal/httpdisk", may: []string{"internal/edge", "internal/foreign", "internal/weburl"}},
	{name: "internal/download", packer: true, may: []string{"internal/lazyregexp"}},
	{name: "internal/compact", may: []string{"internal/diskimage", "internal/ntfs", "internal/partition"}},
	{name: "internal/diskimage", may: []string{"internal/hostfile", "internal/partition", "internal/lazyregexp"}},
	{name: "internal/wim", may: []string{"internal/wim/lzx", "internal/wim/xpress"}},
	{name: "internal/wim/lzx", may: []string{"internal/wim/lz"}},
	{name: "internal/wim/xpress", may: []string{"internal/wim/lz"}},
	{name: "internal/wim/lz"},
	{name: "internal/wim/lz/lztest"}, // for tests only

	// The simulated guest has its own idea of Windows, so that one mistake does not agree
	// with itself.
	{name: "internal/winsim/replay", may: []string{"internal/runlog", "internal/winsim"}, never: []string{"internal/windows"}},
	{name: "internal/winsim/boot", may: []string{"internal/regf/hivewrite", "internal/winsim", "internal/winsim/wsman"}, never: []string{"internal/windows"}},
	{name: "internal/winsim", never: []string{"internal/windows"}, may: []string{
		"internal/guest/scripts", "internal/winsim/cmdshell", "internal/winsim/console", "internal/winsim/machinestate", "internal/winsim/registry", "internal/winsim/setuplog", "internal/winsim/sshd",
		"internal/winsim/stocktext", "internal/winsim/winfs", "internal/winsim/wsman",
	}},
	{name: "internal/winsim/cmdshell", may: []string{"internal/winsim/console", "internal/winsim/winfs"}},
	{name: "internal/winsim/console"},
	{name: "internal/winsim/machinestate"},
	{name: "internal/winsim/registry", may: []string{"internal/regf", "internal/regf/hivewrite"}},
	{name: "internal/winsim/setuplog"},
	{name: "internal/winsim/sshd"},
	{name: "internal/winsim/stocktext", packer: true},
	{name: "internal/winsim/winfs"},
	{name: "internal/winsim/wsman"},

	// For tests only.
	{name: "internal/house"},
	{name: "internal/bench"},
	{name: "internal/winrm/faults"},
	{name: "internal/foreign/foreigntest", packer: true},
	{name: "internal/regf/hivewrite"},
	{name: "internal/testutil"},

	// Formats that others are made of, and leaves.
	{name: "internal/ntfs", may: []string{"internal/budget"}},
	{name: "internal/partition", may: []string{"internal/windows"}},
	{name: "internal/regf", may: []string{"internal/budget"}},
	{name: "internal/record", may: []string{"internal/hostfile"}},
	{name: "internal/runlog", may: []string{"internal/finding", "internal/foreign", "internal/hostfile", "internal/secrets"}},
	{name: "internal/finding"},
	{name: "internal/edge", may: []string{"internal/foreign", "internal/weburl"}},
	{name: "internal/budget"},
	{name: "internal/heartbeat"},
	{name: "internal/lockout"},
	{name: "internal/authenticode"},
	{name: "internal/cloudagent"},
	{name: "internal/fat"},
	{name: "internal/footprint", may: []string{"internal/windows"}}, // no leaf: its names are made of folders of Windows, which stand there once
	{name: "internal/foreign"},
	{name: "internal/guest/scripts"},
	{name: "internal/hostfile"},
	{name: "internal/parent"},
	{name: "internal/option", may: []string{"internal/unknown"}},
	{name: "internal/secrets", may: []string{"internal/lazyregexp"}},
	{name: "internal/unknown"},
	{name: "internal/weburl", may: []string{"internal/lazyregexp"}},
	{name: "internal/windows"},
	{name: "internal/lazyregexp"},
	{name: "version", packer: true},
}
