//! Tells an OpenGL that draws by software from one that has a GPU, by its name.

/// Parts of the names of renderers that draw on the CPU, in lower case: Mesa's (three generations), Chrome's
/// and WARP ("Microsoft Basic Render Driver"), Windows' without a driver, and Apple's.
const SOFTWARE: [&str; 7] = [
    "llvmpipe",
    "softpipe",
    "software rasterizer",
    "swiftshader",
    "basic render",
    "gdi generic",
    "apple software renderer",
];

/// Whether the renderer that calls itself `gl_renderer` (`GL_RENDERER`) draws by software.
pub fn is_software_renderer(gl_renderer: &str) -> bool {
    let name = gl_renderer.to_lowercase();
    SOFTWARE.iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renderers_without_a_gpu_are_known() {
        for name in [
            "llvmpipe (LLVM 15.0.6, 256 bits)",
            "softpipe",
            "Software Rasterizer",
            "Google SwiftShader",
            "ANGLE (Google, Vulkan 1.3.0 (SwiftShader Device (Subzero)), SwiftShader driver)",
            "GDI Generic",
            "D3D12 (Microsoft Basic Render Driver)",
            "Apple Software Renderer",
        ] {
            assert!(is_software_renderer(name), "{name}");
        }
    }

    #[test]
    fn renderers_with_a_gpu_are_not_taken_for_software() {
        for name in [
            "Mesa Intel(R) UHD Graphics 620 (KBL GT2)",
            "NVIDIA GeForce RTX 3060/PCIe/SSE2",
            "AMD Radeon RX 6600 (radeonsi, navi23, LLVM 15.0.6, DRM 3.49)",
            "virgl (Mesa Intel(R) Xe Graphics)",
            "Apple M2",
            "",
        ] {
            assert!(!is_software_renderer(name), "{name}");
        }
    }
}
