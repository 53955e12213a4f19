package sysprep

import "strings"

// builder is how a builder ends, as its source has it at the version in the
// comment beside it. With auto sysprep quits: a guest that is up can be shut down, and
// one that is off cannot be asked anything. The exception is our own builder.
type builder struct {
	prefix string
	why    string // what it does with a guest that is up
	// cutsPower: without a shutdown_command it cuts the power.
	cutsPower bool
	// off is what it needs of its options when the guest powers itself off; empty:
	// nothing.
	off string
	// needs is what it needs of its options in any case; empty: nothing.
	needs string
	// noLogin: it logs in to the guest no more, as a shutdown_command would.
	noLogin bool
	// answers: the platform gives every machine an answer file when it is deployed.
	answers bool
}

const offWithoutCommand = "the builder must have no shutdown_command, which it fails to send to a guest that is off"

// builders: the first prefix that fits counts. docs/provisioners/sysprep.mdx has the
// same table for users.
var builders = []builder{
	{prefix: ownBuilder, why: "it waits for the power-off and then proves the disk", noLogin: true},
	{prefix: "hyperv-", why: "it sends its shutdown_command to a running guest", cutsPower: true, // 1.1.5
		off: "the builder needs disable_shutdown = true, or no shutdown_command, or it fails to send that command"},
	{prefix: "vsphere-", why: "it sends its shutdown_command to a running guest, or asks VMware Tools to shut it down"}, // 1.4.2: asks first whether it is off
	{prefix: "azure-dtl", why: "it deallocates the machine itself", noLogin: true, answers: true, // 2.6.4: WindowsOsStateSysprepRequested otherwise
		needs: "it asks DevTest Labs to run sysprep once more unless skip_sysprep = true"},
	{prefix: "azure-", why: "it deallocates the machine itself", noLogin: true, answers: true},                   // 2.6.4
	{prefix: "amazon-", why: "it stops the instance itself, unless disable_stop_instance is set", noLogin: true}, // 1.8.3
	{prefix: "googlecompute", why: "it deletes the instance and makes the image of its disk", noLogin: true},     // 1.2.8
	{prefix: "proxmox", why: "it shuts the guest down itself before it makes the template", noLogin: true},       // 1.2.5: types proxmox, proxmox-iso, proxmox-clone
	{prefix: "openstack", why: "it stops the server itself", noLogin: true},                                      // 1.1.4: a server that is off already is tolerated
	{prefix: "nutanix", why: "it sends its shutdown_command to a running guest", cutsPower: true, // 1.1.9
		off: "the builder needs disable_stop_instance = true, or no shutdown_command"},
	{prefix: "qemu", why: "it sends its shutdown_command to a running guest", cutsPower: true, off: offWithoutCommand}, // 1.1.5
	{prefix: "virtualbox-", why: "it sends its shutdown_command to a running guest", cutsPower: true, // 1.1.6
		off: "the builder needs disable_shutdown = true, or it fails to send its shutdown_command"},
	{prefix: "vmware-", why: "it sends its shutdown_command to a running guest", cutsPower: true, off: offWithoutCommand},    // 1.0.17
	{prefix: "parallels-", why: "it sends its shutdown_command to a running guest", cutsPower: true, off: offWithoutCommand}, // 1.1.8
	{prefix: "null", why: "it leaves the machine as it is", off: "nothing but this provisioner sees whether it does"},
}

// handover is what is known of a builder.
func handover(name string) (b builder, known bool) {
	for _, b := range builders {
		if strings.HasPrefix(name, b.prefix) {
			return b, true
		}
	}
	return builder{why: "what it does with a guest that is off is not known"}, false
}

// autoAction chooses how the run ends, and says why.
func (c *Config) autoAction() (action, why string) {
	b, _ := handover(c.PackerBuilderType)
	switch {
	case c.Mode == modeAudit && !c.generalize():
		return actionReboot, "audit mode begins with a restart, and Windows stays up in it"
	case c.PackerBuilderType == ownBuilder:
		return actionShutdown, b.why
	}
	return actionQuit, b.why
}
