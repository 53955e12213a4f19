package vhd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
)

// Layout of an empty qcow2 version 3 image (QEMU docs/interop/qcow2.txt).
const (
	clusterBits = 16
	clusterSize = 1 << clusterBits
	// one L1 entry covers a cluster of L2 entries, 8 bytes each
	l1Coverage   = clusterSize / 8 * clusterSize
	headerLength = 104
	maxBacking   = 1023
	extBacking   = 0xe2792aca
)

// writeOverlay makes an empty qcow2 image of size bytes over a backing file
// whose format is said explicitly: left to guess, QEMU takes a fixed VHD for a
// raw disk, footer included, and a guest could make a raw disk look like qcow2.
func writeOverlay(path, backing, format string, size int64) error {
	if len(backing) > maxBacking {
		return fmt.Errorf("the path of the source is longer than the %d bytes that qcow2 has room for", maxBacking)
	}
	if size <= 0 {
		return errors.New("the source disk is empty")
	}
	// Clusters: header, refcount table, one refcount block (covers 32768
	// clusters, 2 GiB of file, all of them free but ours), L1 table.
	l1Entries := (size + l1Coverage - 1) / l1Coverage
	l1Clusters := (l1Entries*8 + clusterSize - 1) / clusterSize
	image := make([]byte, (3+l1Clusters)*clusterSize)
	be := binary.BigEndian

	copy(image, "QFI\xfb")
	be.PutUint32(image[4:], 3)
	be.PutUint32(image[20:], clusterBits)
	be.PutUint64(image[24:], uint64(size))
	be.PutUint32(image[36:], uint32(l1Entries))
	be.PutUint64(image[40:], 3*clusterSize) // L1 table
	be.PutUint64(image[48:], 1*clusterSize) // refcount table
	be.PutUint32(image[56:], 1)             // clusters of it
	be.PutUint32(image[96:], 4)             // refcounts of 1<<4 bits
	be.PutUint32(image[100:], headerLength)
	// Header extension: format of the backing file; then the end mark.
	be.PutUint32(image[headerLength:], extBacking)
	be.PutUint32(image[headerLength+4:], uint32(len(format)))
	copy(image[headerLength+8:], format)
	name := headerLength + 8 + (len(format)+7)&^7 + 8
	copy(image[name:], backing)
	be.PutUint64(image[8:], uint64(name))
	be.PutUint32(image[16:], uint32(len(backing)))

	be.PutUint64(image[clusterSize:], 2*clusterSize)
	for i := range 3 + l1Clusters {
		be.PutUint16(image[2*clusterSize+2*i:], 1)
	}
	return os.WriteFile(path, image, 0o600)
}
