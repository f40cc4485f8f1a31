/** Nothing yet. */
export function warmUp(): void {
  /* later */
}
