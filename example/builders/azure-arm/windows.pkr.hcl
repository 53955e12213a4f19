# Windows Server in Azure, as a managed image and as a version in a compute gallery.
# The builder deallocates and generalizes the virtual machine in Azure; Windows itself is
# generalized by the provisioner, which leaves it running.

packer {
  required_plugins {
    azure = {
      source  = "github.com/hashicorp/azure"
      version = "~> 2.6"
    }
    sysprep = {
      source  = "github.com/packer-plugin-sysprep/sysprep"
      version = ">= 0.1.0"
    }
  }
}

variable "subscription_id" {
  type = string
}

variable "resource_group" {
  type        = string
  description = "Of the managed image and of the gallery; it exists already."
}

variable "gallery" {
  type        = string
  description = "A compute gallery with the image definition windows-2022 (Windows, generalized, generation 2)."
}

variable "image_version" {
  type    = string
  default = "1.0.0"
}

source "azure-arm" "windows" {
  use_azure_cli_auth = true
  subscription_id    = var.subscription_id
  location           = "westeurope"
  vm_size            = "Standard_D2s_v5"

  os_type         = "Windows"
  image_publisher = "MicrosoftWindowsServer"
  image_offer     = "WindowsServer"
  image_sku       = "2022-datacenter-g2"

  managed_image_name                = "windows-2022-${var.image_version}"
  managed_image_resource_group_name = var.resource_group
  shared_image_gallery_destination {
    subscription   = var.subscription_id
    resource_group = var.resource_group
    gallery_name   = var.gallery
    image_name     = "windows-2022"
    image_version  = var.image_version
  }

  communicator   = "winrm"
  winrm_username = "packer"
  winrm_use_ssl  = true
  winrm_insecure = true
  winrm_timeout  = "15m"
}

build {
  sources = ["source.azure-arm.windows"]

  # Azure gives each machine made of the image its name, account and network; no answer file
  # is needed. The agents have to run before sysprep does.
  provisioner "sysprep" {
    preflight {
      wait_for {
        agents = true
      }
    }
    log_directory = "logs"
  }
}
