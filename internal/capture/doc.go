// Package capture makes a WIM of the Windows on a disk.
package capture
