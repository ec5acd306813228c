"""How hard the next episode is."""

from __future__ import annotations

from torch import Tensor

from isthmus_sim.scenes.terrain import Terrain


def terrain_level(
    terrain: Terrain, level: Tensor, kind: Tensor, position: Tensor, failed: Tensor, asked_speed: Tensor
) -> Tensor:
    """The next level (k,): up for those that left the middle of their tile far behind, down for those that failed or
    hardly came away although they were asked to walk (Rudin et al. 2022).

    Args:
        terrain: Whose tiles these are.
        level: Levels of the episodes that ended, (k,).
        kind: Kinds of ground in these worlds, (k,).
        position: Positions of the bases at the end, (k, 3) m, world.
        failed: Which of them fell, (k,) bool.
        asked_speed: What was asked of them, (k,) m/s.
    """
    side = terrain.config.tile
    away = (position - terrain.origin(level, kind))[:, :2].norm(dim=-1)
    up, down = (away > 0.4 * side) & ~failed, failed | ((away < 0.15 * side) & (asked_speed > 0.3))
    return (level + up.long() - down.long()).clamp(0, terrain.config.levels - 1)
