// Package capture makes a WIM of the Windows on a disk, which programs of Microsoft apply:
// whatever holds the disk, and without a mount, other programs or rights.
package capture
