// Package files carries files and folders to and from a guest over WinRM
// commands.
//
// What is uploaded goes as lines of base64 over the standard input of one
// PowerShell (store.ps1, no file in the guest; receive.ps1 where that is
// not run), a hundred times as fast as a command line for every
// 6 kB. The bytes are hashed on both ends, written under a temporary name and
// renamed, and a connection that drops costs what was under way, not what had
// arrived. Where PowerShell gets no input, or its language mode is constrained,
// the classic way is taken, with cmd.exe and certutil.exe alone, and the reason
// is told.
//
// Small files, the scripts themselves among them, are placed by one command
// (place.ps1): a constant text given to PowerShell by -EncodedCommand, which reads
// them from its standard input, as Ansible does it. It executes nothing of that.
//
// A folder goes as one zip and is unpacked in the guest by .NET's ZipArchive
// (expand.ps1: .NET 4.5, which Windows 8 and Server 2012 have), or by tar.exe
// (Windows 10 1803, Server 2019) where PowerShell is constrained.
//
// A download is read piece by piece (read.ps1), with an access that lets others
// write and delete, so that logs in use can be read.
package files
