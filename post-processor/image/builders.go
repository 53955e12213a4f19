package image

import (
	"fmt"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
)

// elsewhere are builders, by the beginning of their type, whose artifact holds no
// disk that can be read here: what Packer would remove when this post-processor
// fails after hours.
var elsewhere = []struct{ prefix, leaves, next string }{
	{"amazon-", "an AMI in AWS", inCloud}, {"azure-", "an image in Azure", inCloud}, {"googlecompute", "an image in Google Cloud", inCloud},
	{"alicloud-", "an image in Alibaba Cloud", inCloud}, {"digitalocean", "a snapshot at DigitalOcean", inCloud}, {"hcloud", "a snapshot at Hetzner", inCloud},
	{"ibmcloud-", "an image in IBM Cloud", inCloud}, {"linode", "an image at Linode", inCloud}, {"nutanix", "an image in Nutanix", inCloud}, {"openstack", "an image in OpenStack", inCloud},
	{"oracle-", "an image in Oracle Cloud", inCloud}, {"outscale-", "an image at Outscale", inCloud}, {"proxmox", "a template in Proxmox", inCloud}, {"scaleway", "an image at Scaleway", inCloud},
	{"tencentcloud-", "an image in Tencent Cloud", inCloud}, {"vultr", "a snapshot at Vultr", inCloud}, {"yandex", "an image in Yandex Cloud", inCloud}, {"cloudstack", "a template in CloudStack", inCloud},
	{"vsphere-", "a machine in vSphere", exported}, {"parallels-", "a disk of Parallels", converted},
	{"docker", "a container", noDisk}, {"lxc", "a container", noDisk}, {"lxd", "a container", noDisk}, {"incus", "a container", noDisk},
}

const (
	inCloud = "use provisioner \"sysprep\", which proves what it can from inside of the guest, and remove this post-processor; for a disk that another step downloads set from_artifice = true"
	// exported: the files of an export are those of the artifact then.
	exported  = "if the source has a block export, the disks of which can be read here, set from_artifice = true; else use provisioner \"sysprep\", which proves what it can from inside of the guest, and remove this post-processor"
	converted = "convert the disk before (post-processor \"shell-local\": qemu-img convert -f parallels -O qcow2), name the result with post-processor \"artifice\", and set from_artifice = true"
	noDisk    = "remove this post-processor"
)

// checkBuilder refuses a builder that leaves no disk to work on, before it runs.
func (c *Config) checkBuilder() []error {
	if c.FromArtifice {
		return nil
	}
	for _, b := range elsewhere {
		if strings.HasPrefix(c.PackerBuilderType, b.prefix) {
			return []error{fmt.Errorf("builder %q leaves %s, and no disk in a format that is read here (%s): Packer would run it to the end and then remove what it made, because this post-processor can only fail; %s",
				c.PackerBuilderType, b.leaves, strings.Join(diskimage.Inputs(), ", "), b.next)}
		}
	}
	return nil
}
