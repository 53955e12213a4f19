# Windows Server on vSphere, installed from an ISO in a datastore, as a template. A clone goes
# through OOBE with the answer file of the image. Deploy it without a guest customization of
# vSphere: that runs a sysprep of its own and wants a template that is not generalized.

packer {
  required_plugins {
    vsphere = {
      source  = "github.com/hashicorp/vsphere"
      version = "~> 1.4"
    }
    sysprep = {
      source  = "github.com/packer-plugin-sysprep/sysprep"
      version = ">= 0.1.0"
    }
  }
}

variable "vcenter_server" {
  type = string
}

variable "vcenter_user" {
  type = string
}

variable "vcenter_password" {
  type      = string
  sensitive = true
}

variable "password" {
  type        = string
  sensitive   = true
  description = "Of Administrator, as in autounattend.xml."
}

source "vsphere-iso" "windows" {
  vcenter_server = var.vcenter_server
  username       = var.vcenter_user
  password       = var.vcenter_password
  cluster        = "cluster"
  datastore      = "datastore"
  folder         = "templates"

  vm_name              = "windows-2022"
  guest_os_type        = "windows2019srvNext_64Guest"
  firmware             = "efi-secure"
  CPUs                 = 2
  RAM                  = 4096
  disk_controller_type = ["pvscsi"]
  storage {
    disk_size             = 61440
    disk_thin_provisioned = true
  }
  network_adapters {
    network      = "VM Network"
    network_card = "vmxnet3"
  }
  iso_paths = [
    "[datastore] iso/windows-2022.iso",
    "[] /vmimages/tools-isoimages/windows.iso",
  ]
  cd_files            = ["autounattend.xml"]
  convert_to_template = true

  communicator   = "winrm"
  winrm_username = "Administrator"
  winrm_password = var.password
  winrm_timeout  = "2h"
}

build {
  sources = ["source.vsphere-iso.windows"]

  # The builder asks whether the machine is off before it shuts it down.
  provisioner "sysprep" {
    action        = "shutdown"
    log_directory = "logs"
    unattend {
      time_zone = "UTC"
      oobe {
        hide_eula_page = true
      }
    }
  }
}
