package boot

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The addresses of QEMU's user-mode network: fixed, so that the guest needs no
// DHCP client.
var (
	guestIP   = net.IPv4(10, 0, 2, 15)
	gatewayIP = net.IPv4(10, 0, 2, 2)
	netMask   = net.IPv4(255, 255, 255, 0)
)

// networkUp brings up loopback and the first NIC that has a device behind it.
// It returns the NIC's name and driver.
func networkUp(ctx context.Context) (string, error) {
	nic, err := firstNIC(ctx)
	if err != nil {
		return "", err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	if err := errors.Join(
		setAddress(fd, "lo", net.IPv4(127, 0, 0, 1), net.IPv4(255, 0, 0, 0)),
		setAddress(fd, nic, guestIP, netMask),
		addDefaultRoute(fd, gatewayIP),
	); err != nil {
		return "", err
	}
	driver, _ := filepath.EvalSymlinks(filepath.Join("/sys/class/net", nic, "device/driver"))
	return fmt.Sprintf("%s (%s)", nic, filepath.Base(driver)), nil
}

func firstNIC(ctx context.Context) (string, error) {
	var found string
	err := poll(ctx, func() bool {
		links, _ := filepath.Glob("/sys/class/net/*/device")
		if len(links) > 0 {
			found = filepath.Base(filepath.Dir(links[0]))
		}
		return found != ""
	})
	if err != nil {
		return "", errors.New("no network device: the machine has a NIC this guest has no driver for")
	}
	return found, nil
}

// poll asks every 20 ms until done says so or ctx ends: sysfs has no event for
// what is waited for here that is simpler than looking.
func poll(ctx context.Context, done func() bool) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

// ifreq is struct ifreq of netdevice(7) with an address or flags in its union.
type ifreq struct {
	name [unix.IFNAMSIZ]byte
	data [24]byte
}

func setAddress(fd int, nic string, address, mask net.IP) error {
	var r ifreq
	copy(r.name[:], nic)
	inet := func(ip net.IP) {
		r.data = [24]byte{}
		binary.NativeEndian.PutUint16(r.data[:], unix.AF_INET)
		copy(r.data[4:], ip.To4())
	}
	inet(address)
	if err := ioctl(fd, unix.SIOCSIFADDR, unsafe.Pointer(&r)); err != nil {
		return fmt.Errorf("giving %s its address: %w", nic, err)
	}
	inet(mask)
	if err := ioctl(fd, unix.SIOCSIFNETMASK, unsafe.Pointer(&r)); err != nil {
		return fmt.Errorf("giving %s its mask: %w", nic, err)
	}
	r.data = [24]byte{}
	binary.NativeEndian.PutUint16(r.data[:], unix.IFF_UP|unix.IFF_RUNNING)
	if err := ioctl(fd, unix.SIOCSIFFLAGS, unsafe.Pointer(&r)); err != nil {
		return fmt.Errorf("bringing up %s: %w", nic, err)
	}
	return nil
}

// addDefaultRoute fills struct rtentry (64-bit layout) of route(7).
func addDefaultRoute(fd int, gateway net.IP) error {
	var rt [120]byte
	for _, at := range []int{8, 24, 40} { // destination, gateway, mask
		binary.NativeEndian.PutUint16(rt[at:], unix.AF_INET)
	}
	copy(rt[28:], gateway.To4())
	binary.NativeEndian.PutUint16(rt[56:], unix.RTF_UP|unix.RTF_GATEWAY)
	if err := ioctl(fd, unix.SIOCADDRT, unsafe.Pointer(&rt)); err != nil {
		return fmt.Errorf("adding the default route: %w", err)
	}
	return nil
}

func ioctl(fd int, request uint, arg unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}

// systemVolume waits for a partition with an NTFS boot sector and names its
// device node.
func systemVolume(ctx context.Context) (string, error) {
	var found string
	err := poll(ctx, func() bool {
		parts, _ := filepath.Glob("/sys/class/block/*/partition")
		for _, part := range parts {
			node := filepath.Join("/dev", filepath.Base(filepath.Dir(part)))
			if isNTFS(node) {
				found = node
			}
		}
		return found != ""
	})
	if err != nil {
		return "", errors.New("no NTFS volume: the machine has a disk this guest has no driver for")
	}
	return found, nil
}

func isNTFS(node string) bool {
	f, err := os.Open(node)
	if err != nil {
		return false
	}
	defer f.Close()
	var id [8]byte
	_, err = f.ReadAt(id[:], 3)
	return err == nil && string(id[:]) == "NTFS    "
}
