package diskimage

import (
	"errors"
	"fmt"
	"os"
	"slices"
)

// WriteOverlay makes an empty qcow2 image of size bytes over a backing file
// whose format, by QEMU's name, is said explicitly: left to guess, QEMU takes a
// fixed VHD for a raw disk, footer included, and a guest could make a raw disk
// look like qcow2.
func WriteOverlay(path, backing, format string, size int64) error {
	if len(backing) > qcow2MaxBacking {
		return fmt.Errorf("the path of the source is longer than the %d bytes that qcow2 has room for", qcow2MaxBacking)
	}
	if size <= 0 {
		return errors.New("the source disk is empty")
	}
	// Clusters: header, reference count table, one block of reference counts
	// (of 2 GiB of file, all of them free but ours), L1 table.
	const countsTable, counts, l1 = 1, 2, 3
	entries := (size + qcow2Coverage - 1) / qcow2Coverage
	clusters := l1 + (entries+qcow2PerTable-1)/qcow2PerTable

	h := newQcow2Header(size)
	h.L1Size, h.L1TableOffset = uint32(entries), l1*uint64(qcow2Cluster)
	h.RefcountTableOffset, h.RefcountTableClusters = countsTable*uint64(qcow2Cluster), 1
	name := make([]byte, roundUp(int64(len(format)), 8))
	copy(name, format)
	extensions := pack(be, qcow2Extension{qcow2ExtBacking, uint32(len(format))}, name, qcow2Extension{})
	h.BackingFileOffset, h.BackingFileSize = uint64(h.HeaderLength)+uint64(len(extensions)), uint32(len(backing))

	image := make([]byte, clusters*qcow2Cluster)
	copy(image, slices.Concat(pack(be, h)[:h.HeaderLength], extensions, []byte(backing)))
	be.PutUint64(image[countsTable*qcow2Cluster:], counts*uint64(qcow2Cluster))
	for i := range clusters {
		be.PutUint16(image[counts*qcow2Cluster+2*i:], 1)
	}
	return os.WriteFile(path, image, 0o600)
}
