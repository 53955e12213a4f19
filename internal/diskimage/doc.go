// Package diskimage reads and writes virtual disks: VHD (fixed, dynamic,
// differencing), VHDX, qcow2 and raw; VMDK, and the disk in an OVA, are read only. A disk is an io.ReaderAt that knows where
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
// # VMDK
//
// Little endian, in sectors of 512 bytes. A descriptor, a text, says what the disk
// is made of: its extents, each in a file, and the parent with its content id. An
// extent is flat (the bytes and nothing else), zeros, or sparse: a header, from which
// the grain directory is found, whose entries are the sectors of grain tables of 512
// entries, which are the sectors of grains, usually of 64 KiB. 0 stands for what is
// not there, 1, if the header says so, for zeros. Directory and tables are there
// twice. A disk in one sparse file has its descriptor in it. A stream-optimized one
// was written from its start to its end: its grains are compressed, each behind a
// marker that says how long it is, and its directory is known from a copy of the
// header, the footer, before the end. Files of ESX with a header of their own (COWD,
// SESparse) are not read.
//
// # OVA
//
// A tar file: first the OVF, XML that says which of the other files are disks, then,
// not always, a manifest of checksums, which is not read, and the disks, mostly
// stream-optimized VMDK. A disk is read where it lies. Of several the one is taken that
// a machine can start from.
//
// # Trust
//
// Images are foreign bytes. Sizes are checked before anything is allocated,
// blocks and tables may not overlap, a disk is at most 64 deep and is not its
// own parent, and a parent or backing file elsewhere than beside its child is
// read only when Allow names it. The files of a VMDK are named without a folder and lie
// beside the descriptor. What is unpacked is bounded by the size of a grain or cluster.
//
// Sources: [VHD] "Virtual Hard Disk Image Format Specification" 1.0
// (Microsoft, 2006); [MS-VHDX] "Virtual Hard Disk v2 (VHDX) File Format";
// [qcow2] QEMU docs/interop/qcow2.rst; [VMDK] "Virtual Disk Format 5.0" (VMware,
// 2011), with what libyal's libvmdk documentation adds; [OVF] DMTF DSP0243; [RFC1950], [RFC1951]
// (zlib and deflate), [RFC8878] (zstd). The structs of headers and tables have
// the names of these.
package diskimage
