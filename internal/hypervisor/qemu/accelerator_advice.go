package qemu

import "strings"

// acceleratorAdvice is what QEMU says of an accelerator that the host does not give it, with any
// processor, and what to do about it. Sources: accel/kvm/kvm-all.c and target/i386/whpx/whpx-all.c
// of QEMU 7.2; the first three were seen, what Windows says was only read.
var acceleratorAdvice = []struct{ accelerator, said, why, next string }{
	{
		"kvm", "KVM kernel module: Permission denied", "this account may not open /dev/kvm",
		"add it to the group of that file (usually kvm) and log in again; to a container give --device /dev/kvm and the group, with Podman --group-add keep-groups",
	},
	{
		"kvm", "KVM kernel module: No such file or directory", "there is no /dev/kvm",
		"switch virtualization on in the host's firmware, or nested virtualization in what runs the host; to a container give --device /dev/kvm",
	},
	{
		"kvm", "Device or resource busy", "another hypervisor holds the processor",
		"end it (VirtualBox, VMware), or run the build elsewhere",
	},
	{
		"whpx", "No accelerator found", "the Windows Hypervisor Platform is not there",
		"switch the Windows feature HypervisorPlatform on and restart the host",
	},
}

// notGiven returns why the host does not give an accelerator, and what to do, by what QEMU
// printed; nothing where that speaks of something else, such as the model of the processor.
func notGiven(accelerator, printed string) (why, next string) {
	for _, a := range acceleratorAdvice {
		if a.accelerator == accelerator && strings.Contains(printed, a.said) {
			return a.why, a.next
		}
	}
	return "", ""
}
