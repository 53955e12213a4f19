// Package diskimage reads and writes virtual disks: VHD (fixed, dynamic,
// differencing), VHDX, qcow2 and raw. A disk is an io.ReaderAt that knows where
// its data is; nothing here needs root, a mount or another program, and a
// source is never written.
//
// # Raw
//
// The bytes of the disk and nothing else. A raw file has no mark, so what no
// other format claims is raw, and the size of the file is that of the disk.
//
// # VHD
//
// All numbers are big endian. The last 512 bytes are the footer: size, type,
// id, creator, and a checksum of itself. A fixed disk is a raw one with a
// footer behind it; Azure wants that, with a size in whole MiB. Other disks have
// a copy of the footer at the start, from which the dynamic disk header is
// found, and from there the block allocation table (BAT). An entry of the BAT
// is the sector of a block, usually of 2 MiB, or 0xffffffff for one that is not
// in the file. A block begins with a bitmap of its sectors: in a differencing
// disk the sectors that are set are here and the others in the parent, which
// the header names by its id and by paths (parent locators). The geometry in
// the footer is a relic, from which QEMU still takes the size of disks of
// creators that it does not know.
//
// # VHDX
//
// Little endian, and everything lies on whole MiB. The first MiB has the file
// identifier, two headers, of which the valid one with the higher sequence
// number counts, and two copies of the region table, which says where the BAT
// and the metadata are: block size, disk size, sector size, parent locator. The
// BAT has the state and place of each payload block and, after every chunk of
// them, of the sector bitmap block that differencing disks need. Changes of BAT
// and metadata go through the log, a ring of entries with 4 KiB pages: a file
// whose header names a log was not closed cleanly, and means what it holds with
// the active sequence of the log replayed. That is done in memory here.
// The id of the last change (DataWriteGuid) is what a child knows its parent by.
//
// # qcow2
//
// Big endian, in clusters of 512 bytes to 2 MiB. The header points to the L1
// table, whose entries point to L2 tables of one cluster each, whose entries
// point to the clusters: not there, zeros, in the file, or compressed. With
// extended L2 entries each cluster has 32 subclusters with bits of their own.
// Reference counts say which clusters of the file are in use; only a writer
// needs them. What is not there is in the backing file, if the header names one.
// Its format is a header extension: an image without it leaves the format to be
// guessed from content that a guest has written, so raw is never guessed.
//
// # Trust
//
// Images are foreign bytes. Sizes are checked before anything is allocated,
// blocks and tables may not overlap, a disk is at most 64 deep and is not its
// own parent, and a parent or backing file elsewhere than beside its child is
// read only when Allow names it.
//
// Sources: [VHD] "Virtual Hard Disk Image Format Specification" 1.0
// (Microsoft, 2006); [MS-VHDX] "Virtual Hard Disk v2 (VHDX) File Format";
// [qcow2] QEMU docs/interop/qcow2.rst. The structs of headers and tables have
// the names of these.
package diskimage
