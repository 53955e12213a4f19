# Windows Server on Nutanix AHV, installed from an image of the ISO that Prism has, with the
# virtio drivers from a second one.

packer {
  required_plugins {
    nutanix = {
      source  = "github.com/nutanix-cloud-native/nutanix"
      version = "~> 1.1"
    }
    sysprep = {
      source  = "github.com/packer-plugin-sysprep/sysprep"
      version = ">= 0.1.0"
    }
  }
}

variable "prism_endpoint" {
  type = string
}

variable "prism_user" {
  type = string
}

variable "prism_password" {
  type      = string
  sensitive = true
}

variable "password" {
  type        = string
  sensitive   = true
  description = "Of Administrator, as in autounattend.xml."
}

source "nutanix" "windows" {
  nutanix_endpoint = var.prism_endpoint
  nutanix_username = var.prism_user
  nutanix_password = var.prism_password
  cluster_name     = "cluster"
  os_type          = "Windows"
  cpu              = 2
  memory_mb        = 4096
  image_name       = "windows-2022"
  cd_files         = ["autounattend.xml"]

  vm_disks {
    image_type        = "ISO_IMAGE"
    source_image_name = "windows-2022.iso"
  }
  vm_disks {
    image_type        = "ISO_IMAGE"
    source_image_name = "virtio.iso"
  }
  vm_disks {
    image_type   = "DISK"
    disk_size_gb = 60
  }
  vm_nics {
    subnet_name = "subnet"
  }

  communicator   = "winrm"
  winrm_username = "Administrator"
  winrm_password = var.password
  winrm_timeout  = "2h"

  # The guest is still up after action = "quit".
  shutdown_command = "shutdown /s /t 5 /f"
  shutdown_timeout = "30m"
}

build {
  sources = ["source.nutanix.windows"]

  provisioner "sysprep" {
    action        = "quit"
    log_directory = "logs"
    unattend {
      time_zone = "UTC"
      oobe {
        hide_eula_page = true
      }
    }
  }
}
