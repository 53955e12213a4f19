# For the registration with HashiCorp's Packer integrations.
integration {
  name        = "Sysprep"
  description = "Generalize Windows machines with sysprep, and prove the image before it is handed over."
  identifier  = "packer/packer-plugin-sysprep/sysprep"
  flags       = []
  docs {
    process_docs    = true
    readme_location = "./README.md"
    external_url    = "https://github.com/packer-plugin-sysprep/packer-plugin-sysprep"
  }
  license {
    type = "MPL-2.0"
    url  = "https://github.com/packer-plugin-sysprep/packer-plugin-sysprep/blob/main/LICENSE"
  }
  component {
    type = "builder"
    name = "sysprep-vhd"
    slug = "vhd"
  }
  component {
    type = "provisioner"
    name = "sysprep"
    slug = "sysprep"
  }
  component {
    type = "post-processor"
    name = "sysprep-image"
    slug = "image"
  }
}
