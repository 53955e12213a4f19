# Windows Server on Hyper-V, installed from an ISO with the answer file of Windows Setup
# that you have, generalized, proven, and written as a VHD for Azure.

packer {
  required_plugins {
    hyperv = {
      source  = "github.com/hashicorp/hyperv"
      version = "~> 1.1"
    }
    sysprep = {
      source  = "github.com/packer-plugin-sysprep/sysprep"
      version = ">= 0.1.0"
    }
  }
}

variable "iso_url" {
  type = string
}

variable "iso_checksum" {
  type = string
}

variable "password" {
  type        = string
  sensitive   = true
  description = "Of Administrator, as in autounattend.xml."
}

source "hyperv-iso" "windows" {
  iso_url              = var.iso_url
  iso_checksum         = var.iso_checksum
  cd_files             = ["autounattend.xml"]
  generation           = 2
  enable_secure_boot   = true
  cpus                 = 2
  memory               = 4096
  disk_size            = 61440
  switch_name          = "Default Switch"
  guest_additions_mode = "disable"
  output_directory     = "output"

  communicator   = "winrm"
  winrm_username = "Administrator"
  winrm_password = var.password
  winrm_timeout  = "2h"

  # The guest powers itself off, and the builder waits for it.
  disable_shutdown = true
  shutdown_timeout = "30m"
}

build {
  sources = ["source.hyperv-iso.windows"]

  provisioner "sysprep" {
    action        = "shutdown"
    log_directory = "logs"
    unattend {
      time_zone = "UTC"
      locale {
        user_locale = "en-US"
      }
      oobe {
        hide_eula_page = true
      }
    }
  }

  post-processor "sysprep-image" {
    output = "golden/windows-2022.vhd"
    format = "vhd"
    verify {
      target = "azure"
    }
  }
}
